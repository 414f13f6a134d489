// README's examples compile and run as they stand there; the model is the small one of tests/golden.
#include <graft/graft.h>
#include <gtest/gtest.h>

#include <iostream>
#include <sstream>

#include "fixtures.h"

using namespace graft;

namespace {

const std::string kModel = GRAFT_SOURCE_DIR "/tests/golden/tiny-qwen3";

TEST(SeedExamples, LoadWithKernelsAndGenerate) {
  auto model = AutoModelForCausalLM::from_pretrained(kModel, {.use_kernels = true, .device_map = "cpu", .dtype = "auto"});
  model->eval();
  const auto input_ids = torch::tensor({3, 4, 5}, torch::kLong).unsqueeze(0);
  {
    torch::NoGradGuard no_grad;
    auto output = model->generate(input_ids, {.max_new_tokens = 5});
    EXPECT_LE(output.size(1), 8);
  }
  model->train();
  const auto labels = input_ids;
  auto loss = model->forward(input_ids, {.labels = labels}).loss;
  loss.backward();
  EXPECT_TRUE(model->parameters()[0].grad().defined());
}

TEST(SeedExamples, KernelizeAndReport) {
  auto model = AutoModelForCausalLM::from_pretrained(kModel);
  model->kernelize({.mode = Mode::Inference});
  BindReport report = model->kernel_report();
  EXPECT_GT(report.count(LayerState::bound), 0);
  std::ostringstream out;
  out << report;
  EXPECT_NE(out.str().find("graft-kernels/"), std::string::npos);
  const BindReport compiled = model->kernelize({.mode = Mode::Training | Mode::TorchCompile});
  EXPECT_GT(compiled.count(LayerState::bound), 0);
}

TEST(SeedExamples, MappingForms) {
  KernelConfig kernel_config({{"RMSNorm", "kernels-community/liger_kernels:LigerRMSNorm"}});
  KernelConfig per_device({{"RMSNorm", {{"cuda", "kernels-community/liger_kernels:LigerRMSNorm"},
                                        {"rocm", "kernels-community/rocm-kernels:RocmRMSNorm"},
                                        {"metal", "kernels-community/metal-kernels:MetalRMSNorm"},
                                        {"xpu", "kernels-community/xpu-kernels:XpuRMSNorm"}}}});
  KernelConfig local({{"RMSNorm", "/path/to/liger_kernels:LigerRMSNorm"}}, {.use_local_kernel = true});
  KernelConfig disabled({{"RMSNorm", ""}});
  KernelConfig by_mode({{"RMSNorm", {{"cuda", {{Mode::Inference, "org/fast:Norm"}, {Mode::Training, "org/exact:Norm"}}}}}});
  KernelConfig by_capability({{"RMSNorm", {{{"cuda", {75, 89}}, "org/turing:Norm"}, {{"cuda", {90, 90}}, "org/hopper:Norm"}}}});
  EXPECT_EQ(*by_mode.find("RMSNorm")->find("cuda", 90, Mode::Training), "org/exact:Norm");
  EXPECT_EQ(*by_capability.find("RMSNorm")->find("cuda", 90), "org/hopper:Norm");
  EXPECT_EQ(*kernel_config.find("RMSNorm")->find("cpu"), "kernels-community/liger_kernels:LigerRMSNorm");
  EXPECT_EQ(*per_device.find("RMSNorm")->find("rocm"), "kernels-community/rocm-kernels:RocmRMSNorm");
  EXPECT_EQ(per_device.find("RMSNorm")->find("cpu"), nullptr);
  EXPECT_EQ(*local.find("RMSNorm")->find("cpu"), "/path/to/liger_kernels:LigerRMSNorm");
  EXPECT_EQ(*disabled.find("RMSNorm")->find("cpu"), "");
  auto model = AutoModelForCausalLM::from_pretrained(kModel, {.use_kernels = true, .kernel_config = local});
  int fallbacks = 0;
  for (const LayerReport& layer : model->kernel_report().layers) fallbacks += layer.layer == "RMSNorm" && layer.state == LayerState::fallback;
  EXPECT_GT(fallbacks, 0);  // /path/to/… is not there, and the report says so
}

TEST(SeedExamples, AttentionByReference) {
  auto model = AutoModelForCausalLM::from_pretrained(kModel, {.attn_implementation = "graft-kernels/attention:Attention"});
  EXPECT_EQ(model->kernel_report().count(LayerState::bound), int(model->config().num_hidden_layers));
  model->set_attn_implementation("eager");
  EXPECT_EQ(model->kernel_report().count(LayerState::bound), 0);
}

// forward() is not virtual in torch::nn::Module and has no hooks, so a layer holds a slot and its forward asks it:
struct MyNorm : torch::nn::Module {
  torch::Tensor weight = register_parameter("weight", torch::ones({576}));
  KernelSlot slot = register_kernel_layer(*this, "RMSNorm/1", {.attributes = {{"eps", 1e-5}}});
  torch::Tensor forward(torch::Tensor x) { return slot({x}, [&] { return own_forward(x); }); }
  torch::Tensor own_forward(torch::Tensor x) { return torch::rms_norm(x, {576}, weight, 1e-5); }
};

TEST(SeedExamples, AHostsOwnModule) {
  auto my_module = std::make_shared<MyNorm>();
  my_module->eval();
  BindReport report = kernelize(*my_module, {.mode = Mode::Inference, .allow_all_kernels = false, .use_fallback = true, .device = torch::kCPU});
  ASSERT_EQ(report.count(LayerState::bound), 1) << report;
  torch::NoGradGuard no_grad;
  const auto x = torch::randn({2, 576});
  EXPECT_TRUE(torch::allclose(my_module->forward(x), my_module->own_forward(x), 1e-5, 1e-5));
}

}  // namespace
