#include "module_parameters.h"

#include <torch/nn/module.h>

namespace graft {
namespace {

/// torch lets a module's subclasses see its own parameters, and everybody else a copy.
struct Own : torch::nn::Module {
  static const auto& parameters(const torch::nn::Module& module) { return module.*(&Own::parameters_); }
};

}  // namespace

const at::Tensor* find_parameter(const torch::nn::Module& module, const std::string& path) {
  const size_t dot = path.find('.');
  if (dot == path.npos) return Own::parameters(module).find(path);
  const auto children = module.named_children();
  const std::shared_ptr<torch::nn::Module>* child = children.find(path.substr(0, dot));
  return child != nullptr && *child != nullptr ? find_parameter(**child, path.substr(dot + 1)) : nullptr;
}

const at::Tensor* first_parameter(const torch::nn::Module& module) {
  for (const auto& parameter : Own::parameters(module)) {
    if (parameter.value().defined()) return &parameter.value();
  }
  for (const auto& child : module.children()) {
    if (child == nullptr) continue;
    if (const at::Tensor* found = first_parameter(*child)) return found;
  }
  return nullptr;
}

}  // namespace graft
