// What `graft run` was asked for. Handed to the part of the command that links LibTorch.
#pragma once

#include <string>

#include "kernel_options.h"

namespace graft {

struct RunOptions : KernelOptions {
  std::string model;  // "Qwen/Qwen3-0.6B" or a folder
  std::string prompt;
  std::string kernels = "on";  // "on", "off", "compare", "strict"
  std::string kernel_policy = "always";  // "always", "fastest"
  int max_new_tokens = 64;
  std::string report;  // a file for the report's page, or empty
  bool json = false;
};

/// The function of libgraft_commands.so; returns an exit code, throws Error.
using GraftCommandRun = int (*)(const RunOptions*);
inline constexpr const char* kGraftCommandRun = "graft_command_run";

}  // namespace graft
