// DeviceMap: which device each part of a model lies on, as users of Hugging Face's accelerate write it.
#pragma once

#include <concepts>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>

namespace graft {

/// A word for the whole model, or devices by the paths of modules:
///
///   .device_map = "cuda:1"
///   .device_map = {{"model.embed_tokens", "cuda:0"}, {"model.layers.0", "cuda:0"}, {"model.layers", "cuda:1"},
///                  {"model.norm", "cuda:1"}, {"lm_head", "cuda:1"}}
///
/// Words are "cpu", "cuda" (the first GPU), "cuda:1" and, for the whole model alone, "auto". Of the paths that stand at or above a
/// module the longest wins; "" stands above all. Each module with weights needs one, each path a module with weights; a decoder
/// layer is never split. An lm_head that is tied to the embedding lies where that does, whatever is said of it.
///
/// "auto" fills the GPUs one after another, in the order in which the model runs, by the memory that is free on each; what is left
/// over goes to the CPU. Of a GPU's free memory 10 %, and at least 1 GiB, stays for activations and KV cache. Other GPUs than
/// those that are needed are not touched; without any, all is on the CPU.
class DeviceMap {
 public:
  DeviceMap(const char* device) : DeviceMap(std::string(device)) {}
  DeviceMap(std::string device) : modules_{{"", std::move(device)}} {}
  DeviceMap(std::initializer_list<std::pair<const std::string, std::string>> modules) : modules_(modules) {}
  /// A template, for braces are meant for the one above.
  DeviceMap(std::same_as<std::map<std::string, std::string>> auto modules) : modules_(std::move(modules)) {}

  /// Devices by the paths of modules, in users' words; one for the whole model stands at "".
  const std::map<std::string, std::string>& modules() const { return modules_; }

 private:
  std::map<std::string, std::string> modules_;
};

}  // namespace graft
