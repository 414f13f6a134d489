#include "module_parameters.h"

#include <torch/nn/module.h>

#include <algorithm>

namespace graft {
namespace {

/// torch lets a module's subclasses see its own parameters, and everybody else a copy.
struct Own : torch::nn::Module {
  static const auto& parameters(const torch::nn::Module& module) { return module.*(&Own::parameters_); }
};

bool all_on(c10::Device device, const torch::nn::Module& module) {
  const auto& own = Own::parameters(module);
  const auto children = module.children();
  return std::all_of(own.begin(), own.end(), [&](const auto& each) {
    const at::Tensor& parameter = each.value();
    return !parameter.defined() || parameter.is_meta() || parameter.device() == device;
  }) && std::all_of(children.begin(), children.end(), [&](const auto& child) { return child == nullptr || all_on(device, *child); });
}

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

std::map<std::string, c10::Device> devices_of_parameters(const torch::nn::Module& module) {
  std::map<std::string, c10::Device> devices;
  // Nearly always all are on one, and then no paths are put together.
  if (const at::Tensor* first = first_parameter(module); first == nullptr || all_on(first->device(), module)) return devices;
  for (const auto& parameter : module.named_parameters()) {
    if (!parameter.value().is_meta()) devices.emplace(parameter.key(), parameter.value().device());
  }
  return devices;
}

}  // namespace graft
