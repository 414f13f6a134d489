// A module's own modules and parameters where they are: torch gives out copies of them, with their names, for
// each question.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>

namespace torch::nn {
class Module;
}

namespace graft {

/// Calls `visit` with the path of each, "" being the module's own: a module comes before those below it,
/// which follow one another.
void walk(const torch::nn::Module& module,
          const std::function<void(const std::string& path, const torch::nn::Module& each)>& visit);

/// By its path below the module: "weight", "gate_proj.weight". Null if there is none. Valid until the module
/// is changed.
const at::Tensor* find_parameter(const torch::nn::Module& module, const std::string& path);

/// The first that parameters() would name. Null if the module has none.
const at::Tensor* first_parameter(const torch::nn::Module& module);

/// Where each is, by its path below the module; nothing if all are on one device. Those on the meta device do
/// not count.
std::map<std::string, c10::Device> devices_of_parameters(const torch::nn::Module& module);

}  // namespace graft
