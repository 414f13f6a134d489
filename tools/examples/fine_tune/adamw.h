// AdamW on torch's fused step, which reads and writes each parameter once and makes no copy of it.
// torch::optim's own takes a minute to compile and makes several copies. Source: Loshchilov and Hutter 2019,
// arXiv:1711.05101.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

class AdamW {
 public:
  struct Settings {  // the defaults are torch.optim.AdamW's
    double learning_rate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0.01;
  };
  AdamW(std::vector<at::Tensor> parameters, const Settings& settings);
  /// One step for the parameters that have a gradient, whose moments begin at 0 then.
  void step();

 private:
  struct State {
    at::Tensor parameter = {}, average = {}, square_average = {}, steps = {};
  };
  std::vector<State> states_;
  Settings settings_;
};
