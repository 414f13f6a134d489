// Which kernels a command is to bind onto a model, and where: what `graft run` and `graft doctor MODEL`
// share.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace graft {

struct KernelOptions {
  std::vector<std::string> map;     // "LAYER=REF", "LAYER@GLOB+LAYER@GLOB=REF"; an empty reference disables the layer
  std::string attn_implementation;  // a reference, or empty
  bool allow_all_kernels = false;
  std::string device = "auto";  // "auto", "cpu", "cuda", "cuda:1"
  std::string dtype = "auto";   // "auto", "float32", "bfloat16", "float16"
  std::string mode;  // "", "inference", "training", "training+torch_compile", "inference+torch_compile"
};

/// Adds --map and all the others; `options` must outlive the parse. The options that were added.
std::vector<CLI::Option*> add_kernel_options(CLI::App& command, KernelOptions& options);

}  // namespace graft
