#include "kernel_options.h"

#include <CLI/CLI.hpp>

#include "graft/error.h"
#include "graft/layer_key.h"

namespace graft {
namespace {

/// What is wrong with a mapping; empty if it is KEY=REF, where REF may be empty.
std::string check_mapping(const std::string& text) try {
  const std::size_t equals = text.find('=');
  if (equals == text.npos || equals == 0) {
    return "\"" + text +
           "\" is not of the form LAYER=REF; write it as in --map RMSNorm=graft-kernels/norm:RMSNorm";
  }
  LayerKey::parse(text.substr(0, equals));
  return "";
} catch (const Error& error) {
  return error.what();
}

/// What is wrong with the name of one GPU among several; empty if it is cuda:N.
std::string check_gpu(const std::string& text) {
  const bool named = text.size() > 5 && text.starts_with("cuda:") && text.find_first_not_of("0123456789", 5) == text.npos;
  return named ? "" : "\"" + text + "\" is not cuda:N, as in cuda:1";
}

}  // namespace

std::vector<CLI::Option*> add_kernel_options(CLI::App& command, KernelOptions& options) {
  return {
      command
          .add_option("--map", options.map, "LAYER=REF, as often as needed; LAYER= leaves that layer alone;\n"
                      "LAYER@GLOB+LAYER@GLOB=REF takes layers of a block as one, by the paths of their modules")
          ->check(check_mapping)
          ->allow_extra_args(false),
      command.add_option("--attn-implementation", options.attn_implementation, "a kernel reference"),
      command.add_flag("--allow-all-kernels", options.allow_all_kernels,
                       "also of publishers that the policy does not trust"),
      command.add_option("--device", options.device, "or cuda:N; auto: the GPUs one after another as they have room, then the CPU")
          ->check(CLI::IsMember({"auto", "cpu", "cuda"}) | CLI::Validator(check_gpu, "cuda:N"))
          ->capture_default_str(),
      command.add_option("--dtype", options.dtype)
          ->check(CLI::IsMember({"auto", "float32", "bfloat16", "float16"}))
          ->capture_default_str(),
      command.add_option("--mode", options.mode)
          ->check(
              CLI::IsMember({"inference", "training", "inference+torch_compile", "training+torch_compile"})),
  };
}

}  // namespace graft
