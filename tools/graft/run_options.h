// What `graft run` was asked for. Handed to the part of the command that links LibTorch.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace graft {

struct RunOptions {
  std::string model;  // "Qwen/Qwen3-0.6B" or a folder
  std::string prompt;
  std::string kernels = "on";  // "on", "off", "compare", "strict"
  std::vector<std::pair<std::string, std::string>>
      map;                          // layer → reference; an empty reference disables the layer
  std::string attn_implementation;  // a reference, or empty
  bool allow_all_kernels = false;
  std::string device = "auto";  // "auto", "cpu", "cuda"
  std::string dtype = "auto";   // "auto", "float32", "bfloat16", "float16"
  std::string mode;  // "", "inference", "training", "training+torch_compile", "inference+torch_compile"
  int max_new_tokens = 64;
  bool json = false;
};

/// The function of libgraft_commands.so; returns an exit code, throws Error.
using GraftCommandRun = int (*)(const RunOptions*);
inline constexpr const char* kGraftCommandRun = "graft_command_run";

}  // namespace graft
