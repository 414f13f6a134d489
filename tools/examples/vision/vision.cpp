// A host with a network of its own: a layer by its own contract, a kernel of its own, and no model of Graft's.
//   vision REPO [REPORT.html]      REPO: the folder that graft_add_plugin has made
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <torch/nn/module.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "conv_bn_relu.h"
#include "graft/contract.h"
#include "graft/error.h"
#include "graft/events.h"
#include "graft/kernel_slot.h"
#include "graft/kernelize.h"

namespace {

struct ConvBNReLU : torch::nn::Module {
  ConvBNReLU(int64_t inputs, int64_t outputs)
      : weight(register_parameter("weight", at::randn({outputs, inputs, 3, 3}) / std::sqrt(9.0 * double(inputs)))),
        gamma(register_parameter("gamma", at::rand({outputs}) + 0.5)),
        beta(register_parameter("beta", at::randn({outputs}) * 0.1)),
        mean(register_buffer("mean", at::randn({outputs}) * 0.1)),
        variance(register_buffer("variance", at::rand({outputs}) + 0.5)),
        // Parameters are found by their names; these two are buffers, so the slot is given them.
        slot(graft::register_kernel_layer(*this, "ConvBNReLU/1",
                                          {.attributes = {{"eps", 1e-5}}, .weights = {{"mean", mean}, {"variance", variance}}})) {}

  at::Tensor forward(const at::Tensor& x) {
    return slot({x}, [&] {
      const at::Tensor convolved = at::conv2d(x, weight, {}, 1, 1);
      return at::relu(at::batch_norm(convolved, gamma, beta, mean, variance, is_training(), 0.1, 1e-5, false));
    });
  }

  at::Tensor weight, gamma, beta, mean, variance;
  graft::KernelSlot slot;
};

struct Network : torch::nn::Module {
  Network() {
    for (int i = 0; i < 4; ++i) blocks.push_back(register_module("block" + std::to_string(i), std::make_shared<ConvBNReLU>(i == 0 ? 3 : 32, 32)));
  }
  at::Tensor forward(at::Tensor x) {
    for (const auto& block : blocks) x = block->forward(x);
    return at::linear(x.mean({2, 3}), classes);
  }
  std::vector<std::shared_ptr<ConvBNReLU>> blocks;
  at::Tensor classes = register_parameter("classes", at::randn({10, 32}) / 6);
};

int run(const std::string& repo, const char* page) {
  graft::ContractRegistry::shared().add(conv_bn_relu_1);
  Network network;
  network.eval();
  const c10::InferenceMode inference;
  const at::Tensor images = at::rand({2, 3, 32, 32});
  const at::Tensor own = network.forward(images);

  const auto subscription = graft::on_event([](const graft::Event& event) {
    std::cout << name(event.kind) << " " << event.module << " " << event.reason << "\n";
  });
  graft::kernelize(network, {.mode = graft::Mode::Inference,
                             .kernel_config = graft::KernelConfig({{"ConvBNReLU", repo + ":ConvBNReLU"}}, {.use_local_kernel = true})});
  const at::Tensor with_kernel = network.forward(images);
  const double largest = (with_kernel - own).abs().max().item<double>();

  const graft::BindReport report = graft::kernel_report(network);
  std::cout << "\n" << report << "\nlargest difference " << largest << " of results up to " << own.abs().max().item<double>() << "\n";
  if (page != nullptr) std::ofstream(page) << report.html({.title = "vision"});
  bool served = true;
  for (const graft::LayerReport& layer : report.layers) served &= layer.counters.calls == 1;
  return served && report.count(graft::LayerState::bound) == 4 && largest < 1e-4 ? 0 : 1;
}

}  // namespace

int main(int count, char** words) try {
  if (count < 2) {
    std::cerr << "usage: vision REPO [REPORT.html]\n";
    return 2;
  }
  return run(std::filesystem::absolute(words[1]).string(), count > 2 ? words[2] : nullptr);
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
