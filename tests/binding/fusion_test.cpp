// Several layers of a block done by one kernel: which blocks are fused, and that each call is right whatever becomes of it.
#include <gtest/gtest.h>

#include <thread>

#include "graft/contract.h"
#include "graft/error.h"
#include "graft/kernel_mapping.h"
#include "norm_layer.h"

namespace graft {
namespace {

using test::fixture;
using test::NormLayer;

/// "TwoNorms/1": out = RMSNorm(RMSNorm(x)).
const graft_argument kArguments[] = {{"x", GRAFT_IN, 0, "T", "... H"},
                                     {"0.weight", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "H"},
                                     {"1.weight", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "H"},
                                     {"out", GRAFT_OUT, 0, "T", "... H"}};
const graft_attribute kAttributes[] = {{"0.eps", GRAFT_FLOAT, 1, 0, 0, nullptr}, {"1.eps", GRAFT_FLOAT, 1, 0, 0, nullptr}};
const graft_contract kTwoNorms = {sizeof(graft_contract), 1, "TwoNorms/1", kArguments, 4, 2, kAttributes, nullptr, 0};

struct Block : torch::nn::Module {
  std::shared_ptr<NormLayer> second = register_module("second", std::make_shared<NormLayer>());  // comes first in the model's order
  std::shared_ptr<NormLayer> first = register_module("first", std::make_shared<NormLayer>());
  KernelSlot slot = register_kernel_layer(*this, "RMSNorm/1",
                                          {.layer = "Covering", .attributes = {{"eps", 1e-6}}, .weights = {{"weight", "first.weight"}}, .covers = {"first"}});
  Block() {
    first->weight.fill_(1.5);
    second->weight.fill_(0.5);
  }
  at::Tensor forward(const at::Tensor& x) const {
    return second->forward(slot({x}, [&] { return first->forward(x); }));
  }
  at::Tensor own(const at::Tensor& x) const { return second->own(first->own(x)); }
  int own_calls() const { return first->own_calls + second->own_calls; }
};

struct Model : torch::nn::Module {
  std::vector<std::shared_ptr<Block>> blocks;
  explicit Model(int count = 2) {
    auto list = register_module("layers", std::make_shared<torch::nn::Module>());
    for (int i = 0; i < count; ++i) blocks.push_back(list->register_module(std::to_string(i), std::make_shared<Block>()));
    eval();
  }
  at::Tensor forward(at::Tensor x) const {
    for (const auto& block : blocks) x = block->forward(x) + x;
    return x;
  }
  at::Tensor own(at::Tensor x) const {
    for (const auto& block : blocks) x = block->own(x) + x;
    return x;
  }
  int own_calls() const {
    int sum = 0;
    for (const auto& block : blocks) sum += block->own_calls();
    return sum;
  }
};

const LayerKey kKey = {{"RMSNorm", "layers.*.first"}, {"RMSNorm", "layers.*.second"}};

std::string kernel(const std::string& deed, const std::string& entry = "TwoNorms") { return fixture("fused_" + deed).string() + ":" + entry; }

KernelConfig mapped(const LayerMapping& mapping, const LayerKey& key = kKey) { return KernelConfig({{key, mapping}}, {.use_local_kernel = true}); }

BindReport fuse(torch::nn::Module& module, const std::string& deed, bool use_fallback = true) {
  return kernelize(module, {.kernel_config = mapped(kernel(deed)), .use_fallback = use_fallback});
}

const LayerReport& line(const BindReport& report, const std::string& module, const std::string& layer = "RMSNorm") {
  for (const LayerReport& each : report.layers)
    if (each.module == module && each.layer == layer) return each;
  throw std::runtime_error("no " + layer + " at " + module);
}

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
bool close(const at::Tensor& a, const at::Tensor& b) { return at::allclose(a, b, 1e-5, 1e-6); }

class Fusion : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ContractRegistry::shared().add(kTwoNorms); }
  void expect_right(const Model& model, int rows = 2) {
    const at::Tensor x = at::randn({rows, 8});
    EXPECT_TRUE(close(model.forward(x), model.own(x)));
  }
};

TEST_F(Fusion, IsNotTimedBesideTheFirstMembersOwnForward) {
  Model model;
  kernelize(model, {.kernel_config = mapped(kernel("Right")), .kernel_policy = KernelPolicy::fastest});
  for (int i = 0; i < 15; ++i) expect_right(model);
  const BindReport report = kernel_report(model);
  EXPECT_TRUE(says(line(report, "layers.1.first").reason, "not for a fusion")) << report;
  EXPECT_EQ(line(report, "layers.1.first").counters.calls, 15u);
}

TEST_F(Fusion, OneKernelDoesAllMembersOfEachBlock) {
  Model model;
  const BindReport report = fuse(model, "Right");
  EXPECT_TRUE(report.as_mapped()) << report;
  const LayerReport &first = line(report, "layers.1.first"), &second = line(report, "layers.1.second");
  EXPECT_EQ(first.state, LayerState::bound) << first.reason;
  EXPECT_EQ(first.entry, "TwoNorms");
  EXPECT_TRUE(says(first.reason, "layers.*.second (RMSNorm)")) << first.reason;
  EXPECT_EQ(second.state, LayerState::bound);
  EXPECT_EQ(second.entry, "TwoNorms");
  EXPECT_EQ(second.covered_by, "layers.1.first (RMSNorm)");
  EXPECT_TRUE(says(report.json(), "\"covered_by\":\"layers.1.first (RMSNorm)\""));
  EXPECT_TRUE(says(report.table(), "layers.*.second × 2")) << report.table();
  EXPECT_TRUE(says(report.html(), "layers.1.first (RMSNorm)"));
  expect_right(model);
  EXPECT_EQ(model.own_calls(), 0);
  EXPECT_EQ(line(kernel_report(model), "layers.0.second").counters.calls, 1u);
}

TEST_F(Fusion, TheKernelReallyDoesTheWork) {
  Model model(1);
  fuse(model, "Twice");
  const at::Tensor x = at::randn({2, 8});
  EXPECT_TRUE(close(model.blocks[0]->forward(x), 2 * model.blocks[0]->own(x)));
}

TEST_F(Fusion, ABlockWithoutAllMembersIsLeftAsItIsAndToldOf) {
  Model model(3);
  model.blocks[1]->unregister_module("second");
  for (const LayerMapping& norm : {LayerMapping(""), LayerMapping(fixture("good").string() + ":TestRMSNorm")}) {
    KernelConfig config = mapped(kernel("Right"));
    config.add({"RMSNorm", norm}, {.use_local_kernel = true});
    const BindReport report = kernelize(model, {.kernel_config = config});
    EXPECT_EQ(line(report, "layers.0.first").entry, "TwoNorms");
    EXPECT_EQ(line(report, "layers.2.first").entry, "TwoNorms");
    const LayerReport& left = line(report, "layers.1.first");
    EXPECT_NE(left.entry, "TwoNorms");
    EXPECT_TRUE(says(left.reason, "there is no module layers.1.second")) << left.reason;
    EXPECT_FALSE(report.as_mapped());
    ASSERT_EQ(report.warnings.size(), 1u);
    EXPECT_TRUE(says(report.warnings[0], "there is no module layers.*.second")) << report.warnings[0];
    expect_right(model);
  }
}

TEST_F(Fusion, AMemberOfAnotherLayersNameIsTold) {
  Model model(1);
  const BindReport report = kernelize(model, {.kernel_config = mapped(kernel("Right"), {{"RMSNorm", "layers.*.first"}, {"MLP", "layers.*.second"}})});
  EXPECT_TRUE(says(line(report, "layers.0.first").reason, "layers.0.second has no layer 'MLP'"));
  expect_right(model);
}

TEST_F(Fusion, OfNoModuleAtAllIsAWarning) {
  Model model;
  const BindReport report = kernelize(model, {.kernel_config = mapped(kernel("Right"), {{"RMSNorm", "h.*.first"}, {"RMSNorm", "h.*.second"}})});
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_TRUE(says(report.warnings[0], "no layer that is in the fusion 'RMSNorm@h.*.first"));
  expect_right(model);
}

TEST_F(Fusion, ALayerIsInOneAlone) {
  Model model(1);
  KernelConfig config = mapped(kernel("Right"));
  config.add({{{"RMSNorm", "layers.0.second"}, {"RMSNorm", "layers.0.first"}}, kernel("Right")}, {.use_local_kernel = true});
  const BindReport report = kernelize(model, {.kernel_config = config});
  EXPECT_EQ(report.count(LayerState::bound), 2);
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_TRUE(says(report.warnings[0], "is in another fusion")) << report.warnings[0];
  expect_right(model);
}

TEST_F(Fusion, ASlotThatWouldDoAMembersWorkIsNotBound) {
  Model model;
  KernelConfig config = mapped(kernel("Right"));
  config.add({"Covering", fixture("good_v3").string() + ":TestRMSNorm"}, {.use_local_kernel = true});
  const BindReport report = kernelize(model, {.kernel_config = config});
  const LayerReport& covering = line(report, "layers.0", "Covering");
  EXPECT_EQ(covering.state, LayerState::own);
  EXPECT_TRUE(says(covering.reason, "would do the work of first")) << covering.reason;
  expect_right(model);
  EXPECT_EQ(model.own_calls(), 0);
}

TEST_F(Fusion, ThatCannotBeBoundIsAFallbackOfAllMembers) {
  for (const auto& [deed, entry, why] : {std::tuple{"Right", "NoSuchEntry", "no such entry"}, {"Right", "Unknown", "neither a standard contract"}}) {
    Model model;
    const BindReport report = kernelize(model, {.kernel_config = mapped(kernel(deed, entry))});
    EXPECT_EQ(report.count(LayerState::fallback), 4);
    for (const char* module : {"layers.0.first", "layers.1.second"}) EXPECT_TRUE(says(line(report, module).reason, why)) << line(report, module).reason;
    expect_right(model);
    EXPECT_THROW(kernelize(model, {.kernel_config = mapped(kernel(deed, entry)), .use_fallback = false}), Error);
  }
}

TEST_F(Fusion, IsNotDoneByAKernelOfOneLayer) {
  Model model(1);
  const BindReport report = kernelize(model, {.kernel_config = mapped(fixture("good").string() + ":TestRMSNorm")});
  EXPECT_TRUE(says(line(report, "layers.0.first").reason, "is no fusion's")) << line(report, "layers.0.first").reason;
  expect_right(model);
}

TEST_F(Fusion, WhatTheKernelLeavesToTheLayersTheyDoThemselves) {
  Model model;
  fuse(model, "UnsupportedForThree");
  expect_right(model, 3);
  EXPECT_EQ(model.own_calls(), 4);
  expect_right(model, 2);
  EXPECT_EQ(model.own_calls(), 4);
}

TEST_F(Fusion, AKernelThatFailsIsGivenUpForAllMembers) {
  Model model(1);
  fuse(model, "Fails");
  for (int call = 0; call < 4; ++call) expect_right(model);
  EXPECT_EQ(model.own_calls(), 8);
  for (const char* module : {"layers.0.first", "layers.0.second"}) {
    const BindReport report = kernel_report(model);
    EXPECT_EQ(line(report, module).state, LayerState::fallback) << module;
    EXPECT_TRUE(says(line(report, module).reason, "lost its way")) << line(report, module).reason;
  }
}

TEST_F(Fusion, WithoutFallbackAFailureIsAnError) {
  Model model(1);
  fuse(model, "Fails", /*use_fallback=*/false);
  EXPECT_THROW(model.forward(at::randn({2, 8})), Error);
}

TEST_F(Fusion, TrainingWithoutABackwardRunsTheLayersThemselves) {
  Model model;
  fuse(model, "Right");
  const at::Tensor x = at::randn({2, 8}).requires_grad_();
  EXPECT_TRUE(close(model.forward(x), model.own(x)));  // in inference mode, a gradient is asked for
  EXPECT_EQ(model.own_calls(), 4);
  model.train();
  EXPECT_EQ(line(kernel_report(model), "layers.0.second").state, LayerState::fallback);
  expect_right(model);
  EXPECT_EQ(model.own_calls(), 8);
  model.eval();
  expect_right(model);
  EXPECT_EQ(model.own_calls(), 8);
}

TEST_F(Fusion, MayBeForOneModeAlone) {
  Model model(1);
  KernelConfig config = mapped({{"cpu", {{Mode::Training, kernel("Twice")}}}});
  const BindReport report = kernelize(model, {.mode = Mode::Inference, .kernel_config = config});
  EXPECT_EQ(line(report, "layers.0.first").state, LayerState::bound);  // as everywhere: inference takes training's
  config = mapped({{"cuda", kernel("Twice")}});
  EXPECT_EQ(line(kernelize(model, {.kernel_config = config}), "layers.0.first").state, LayerState::own);
  EXPECT_EQ(line(kernelize(model, {.kernel_config = mapped(kernel("Right")).with(mapped(""))}), "layers.0.first").state, LayerState::own);
  expect_right(model);
  EXPECT_EQ(model.own_calls(), 2);
}

TEST_F(Fusion, ComesAndGoesWithEachBinding) {
  Model model;
  fuse(model, "Right");
  fuse(model, "Right");
  expect_right(model);
  EXPECT_EQ(model.own_calls(), 0);
  kernelize(model, {.kernel_config = test::fixture_config("good")});
  expect_right(model);
  EXPECT_EQ(model.own_calls(), 0);
  {
    const auto scope = use_kernel_mapping(mapped(kernel("Right")), {.inherit_mapping = false});
    EXPECT_EQ(line(kernelize(model), "layers.0.second").entry, "TwoNorms");
  }
  expect_right(model);
  unkernelize(model);
  EXPECT_EQ(line(kernel_report(model), "layers.0.second").state, LayerState::own);
  expect_right(model);
  EXPECT_EQ(model.own_calls(), 4);
}

TEST_F(Fusion, IsPlannedAsItIsBound) {
  Model model;
  const BindReport plan = plan_kernels(model, {.kernel_config = mapped(kernel("Right"))});
  EXPECT_EQ(line(plan, "layers.0.second").state, LayerState::bound);
  EXPECT_EQ(line(plan, "layers.0.second").covered_by, "layers.0.first (RMSNorm)");
  expect_right(model);
  EXPECT_EQ(model.own_calls(), 4);
}

TEST_F(Fusion, SeesWeightsThatChangeOrMove) {
  Model model(1);
  fuse(model, "Right");
  model.blocks[0]->second->weight.mul_(3);
  expect_right(model);
  model.blocks[0]->second->weight.set_data(at::ones({8}) * 7);
  expect_right(model);
  model.blocks[0]->second->weight.set_data(at::ones({9}));
  EXPECT_THROW(model.forward(at::randn({2, 8})), c10::Error);  // the layer's own complaint
  EXPECT_EQ(line(kernel_report(model), "layers.0.second").state, LayerState::fallback);
  model.blocks[0]->second->weight.set_data(at::ones({8}));
  expect_right(model);
  EXPECT_EQ(line(kernel_report(model), "layers.0.second").state, LayerState::bound);
}

TEST_F(Fusion, AnotherTensorThanTheKernelsIsNotPassedOn) {
  Model model(1);
  fuse(model, "Right");
  const Block& block = *model.blocks[0];
  const at::Tensor x = at::randn({2, 8});
  EXPECT_TRUE(close(block.second->forward(x), block.second->own(x)));  // nobody called the kernel
  block.first->forward(x);
  try {
    block.second->forward(block.first->forward(x).view({-1}).view({2, 8}));
    FAIL() << "done twice";
  } catch (const Error& error) {
    EXPECT_TRUE(says(error.what(), "the model changes the tensor between the two")) << error.what();
  }
  expect_right(model);  // and the next call is another one
}

TEST_F(Fusion, ABlockBetweenTwoMembersIsRightWhileItIsUnbound) {
  Model model(1);
  fuse(model, "Right");
  const Block& block = *model.blocks[0];
  const at::Tensor x = at::randn({2, 8}), fused = block.first->forward(x);
  unkernelize(model);
  EXPECT_TRUE(close(block.second->forward(fused), block.own(x)));
  expect_right(model);
}

TEST_F(Fusion, ThreadsHaveResultsOfTheirOwn) {
  Model model;
  fuse(model, "UnsupportedForThree");
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      const at::NoGradGuard no_grad;
      for (int call = 0; call < 50; ++call) {
        const at::Tensor x = at::randn({2 + (t + call) % 2, 8});
        wrong += !close(model.forward(x), model.own(x));
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace graft
