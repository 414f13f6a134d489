// Operators called by name, and what they are refused with.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/rms_norm.h>

#include <string>
#include <vector>

#include "graft/error.h"
#include "trained_layers.h"

namespace graft::test {

/// Calls "graft::<name>" with the values; its results.
inline std::vector<at::Tensor> call(const std::string& name, std::vector<c10::IValue> values) {
  c10::Dispatcher::singleton().findSchemaOrThrow(("graft::" + name).c_str(), "").callBoxed(&values);
  std::vector<at::Tensor> results;
  for (c10::IValue& value : values) results.push_back(value.isTensor() ? value.toTensor() : at::Tensor());
  return results;
}

inline std::string local(const std::string& fixture_name, const std::string& entry = "RMSNorm") {
  return fixture(fixture_name).string() + ":" + entry;
}

inline at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, const std::string& kernel) {
  return call("RMSNorm_1", {x, weight, 1e-6, kernel})[0];
}

inline at::Tensor own_norm(const at::Tensor& x, const at::Tensor& weight) {
  return at::rms_norm(x, weight.sizes(), weight, 1e-6);
}

inline at::Tensor trained(at::IntArrayRef sizes, at::ScalarType dtype = at::kFloat) {
  return at::randn(sizes, dtype).requires_grad_();
}

/// What `function` is refused with: "<code>: <text>"; empty if it is not.
template <class Function>
std::string refusal(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    return std::string(name(error.code())) + ": " + error.what();
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

inline bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace graft::test
