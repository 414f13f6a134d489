// gradcheck: gradients held against central differences, as torch.autograd.gradcheck, which LibTorch has none
// of.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

namespace graft::test {

/// `function` of `inputs` (float64; those that require a gradient are checked), through one random direction
/// of all its outputs. Empty if the gradients hold, else the first that does not: "gradient 0, element
/// 3: 1.2, numerically 1.3".
inline std::string gradcheck(
    const std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>& function,
    const std::vector<at::Tensor>& inputs) {
  constexpr double kStep = 1e-6, kRelative = 1e-5, kAbsolute = 1e-7;
  std::vector<at::Tensor> directions;
  const auto projected = [&] {
    const std::vector<at::Tensor> outputs = function(inputs);
    at::Tensor sum;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (directions.size() == i) directions.push_back(at::randn(outputs[i].sizes(), outputs[i].options()));
      const at::Tensor term = (outputs[i] * directions[i]).sum();
      sum = i == 0 ? term : sum + term;
    }
    return sum;
  };
  std::vector<at::Tensor> checked;
  for (const at::Tensor& input : inputs) {
    if (input.requires_grad()) checked.push_back(input);
  }
  const std::vector<at::Tensor> gradients = torch::autograd::grad({projected()}, checked);
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < checked.size(); ++i) {
    const at::Tensor values = checked[i].detach().view({-1}), gradient = gradients[i].contiguous();
    for (int64_t n = 0; n < values.numel(); ++n) {
      at::Tensor element = values.select(0, n);
      const double before = element.item<double>();
      // By torch's own means, so that the version changes and a packed weight is packed again.
      element.fill_(before + kStep);
      const double above = projected().item<double>();
      element.fill_(before - kStep);
      const double below = projected().item<double>();
      element.fill_(before);
      const double numeric = (above - below) / (2 * kStep), analytic = gradient.data_ptr<double>()[n];
      if (std::abs(analytic - numeric) <= kAbsolute + kRelative * std::abs(numeric)) continue;
      std::ostringstream out;
      out << "gradient " << i << ", element " << n << ": " << analytic << ", numerically " << numeric;
      return out.str();
    }
  }
  return {};
}

}  // namespace graft::test
