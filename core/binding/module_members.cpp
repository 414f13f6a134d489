#include "module_members.h"

#include <torch/nn/module.h>

namespace graft {
namespace {

using Children = torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>>;
using Parameters = torch::OrderedDict<std::string, at::Tensor>;
const Children& children_of(const torch::nn::Module& module);
const Parameters& parameters_of(const torch::nn::Module& module);

/// An explicit instantiation may name private members ([temp.spec.general]).
template <auto kChildren, auto kParameters>
struct Members {
  friend const Children& children_of(const torch::nn::Module& module) { return module.*kChildren; }
  friend const Parameters& parameters_of(const torch::nn::Module& module) { return module.*kParameters; }
};
template struct Members<&torch::nn::Module::children_, &torch::nn::Module::parameters_>;

bool all_on(c10::Device device, const torch::nn::Module& module) {
  for (const auto& each : parameters_of(module)) {
    const at::Tensor& parameter = each.value();
    if (parameter.defined() && !parameter.is_meta() && parameter.device() != device) return false;
  }
  for (const auto& child : children_of(module)) {
    if (child.value() != nullptr && !all_on(device, *child.value())) return false;
  }
  return true;
}

void walk_below(std::string& path, const torch::nn::Module& module,
                const std::function<void(const std::string& path, const torch::nn::Module& each)>& visit) {
  visit(path, module);
  const size_t length = path.size();
  for (const auto& child : children_of(module)) {
    if (child.value() == nullptr) continue;
    if (!path.empty()) path += '.';
    walk_below(path += child.key(), *child.value(), visit);
    path.resize(length);
  }
}

}  // namespace

void walk(const torch::nn::Module& module,
          const std::function<void(const std::string& path, const torch::nn::Module& each)>& visit) {
  std::string path;
  walk_below(path, module, visit);
}

const at::Tensor* find_parameter(const torch::nn::Module& module, const std::string& path) {
  const size_t dot = path.find('.');
  if (dot == path.npos) return parameters_of(module).find(path);
  const std::shared_ptr<torch::nn::Module>* child = children_of(module).find(path.substr(0, dot));
  return child != nullptr && *child != nullptr ? find_parameter(**child, path.substr(dot + 1)) : nullptr;
}

const at::Tensor* first_parameter(const torch::nn::Module& module) {
  for (const auto& parameter : parameters_of(module)) {
    if (parameter.value().defined()) return &parameter.value();
  }
  for (const auto& child : children_of(module)) {
    if (child.value() == nullptr) continue;
    if (const at::Tensor* found = first_parameter(*child.value())) return found;
  }
  return nullptr;
}

std::map<std::string, c10::Device> devices_of_parameters(const torch::nn::Module& module) {
  std::map<std::string, c10::Device> devices;
  // Nearly always all are on one, and then no paths are put together.
  if (const at::Tensor* first = first_parameter(module); first == nullptr || all_on(first->device(), module))
    return devices;
  for (const auto& parameter : module.named_parameters()) {
    if (!parameter.value().is_meta()) devices.emplace(parameter.key(), parameter.value().device());
  }
  return devices;
}

}  // namespace graft
