#include "adamw.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

AdamW::AdamW(std::vector<at::Tensor> parameters, const Settings& settings) : settings_(settings) {
  for (at::Tensor& parameter : parameters) states_.push_back({.parameter = std::move(parameter)});
}

void AdamW::step() {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> parameters, gradients, averages, square_averages, steps;
  for (State& state : states_) {
    if (!state.parameter.grad().defined()) continue;
    if (!state.steps.defined()) {
      state.average = at::zeros_like(state.parameter);
      state.square_average = at::zeros_like(state.parameter);
      state.steps = at::zeros({}, at::TensorOptions(at::kFloat));
    }
    state.steps.add_(1);
    parameters.push_back(state.parameter);
    gradients.push_back(state.parameter.grad());
    averages.push_back(state.average);
    square_averages.push_back(state.square_average);
    steps.push_back(state.steps);
  }
  if (parameters.empty()) return;
  at::_fused_adamw_(parameters, gradients, averages, square_averages, {}, steps, settings_.learning_rate,
                    settings_.beta1, settings_.beta2, settings_.weight_decay, settings_.epsilon,
                    /*amsgrad=*/false, /*maximize=*/false);
}
