// A host's own modules, nested, with a contract and slots of their own.
#include <gtest/gtest.h>

#include "graft/events.h"
#include "graft/policy.h"
#include "norm_layer.h"

namespace graft {
namespace {

struct Block : torch::nn::Module {
  std::shared_ptr<test::NormLayer> first = register_module("first", std::make_shared<test::NormLayer>());
  std::shared_ptr<test::NormLayer> second = register_module("second", std::make_shared<test::NormLayer>());
  // One slot for both: a kernel here would do the work of `first` and `second`.
  KernelSlot slot = register_kernel_layer(
      *this, "RMSNorm/1",
      {.layer = "TwoNorms", .attributes = {{"eps", 1e-6}}, .weights = {{"weight", "first.weight"}}, .covers = {"first", "second"}});
  at::Tensor forward(const at::Tensor& x) const {
    return slot({x}, [&] { return second->forward(first->forward(x)); });
  }
};

TEST(OwnModule, LayersAreFoundByTheirNameAnywhereBelow) {
  Block block;
  block.eval();
  const BindReport report = kernelize(block, {.kernel_config = test::fixture_config("good")});
  ASSERT_EQ(report.layers.size(), 3u);
  EXPECT_EQ(report.count(LayerState::bound), 2);
  EXPECT_EQ(report.layers[0].layer, "TwoNorms");
  EXPECT_EQ(report.layers[0].state, LayerState::own);
  EXPECT_EQ(report.layers[1].module, "first");
  EXPECT_EQ(report.layers[2].module, "second");
}

TEST(OwnModule, ABoundModuleCoversTheLayersInsideIt) {
  Block block;
  block.eval();
  const KernelConfig config({{"TwoNorms", test::fixture("good").string() + ":TestRMSNorm"},
                             {"RMSNorm", test::fixture("good").string() + ":TestRMSNorm"}},
                            {.use_local_kernel = true});
  const BindReport report = kernelize(block, {.kernel_config = config});
  EXPECT_TRUE(report.layers[0].covered_by.empty());
  EXPECT_NE(report.layers[1].covered_by.find("TwoNorms"), std::string::npos);
  const at::Tensor x = at::randn({2, 8});
  EXPECT_TRUE(at::allclose(block.forward(x), block.first->own(x), 1e-5, 1e-6));  // the kernel is one norm alone
}

KernelConfig covering(const std::string& below) {
  return KernelConfig({{"TwoNorms", test::fixture("good").string() + ":TestRMSNorm"}, {"RMSNorm", below}}, {.use_local_kernel = true});
}

TEST(OwnModule, WeightsOfACoveredLayerArePackedWhenItIsFirstCalled) {
  Block block;
  block.eval();
  const at::Tensor x = at::randn({2, 8});
  kernelize(block, {.kernel_config = covering(test::fixture("training_prepacks").string() + ":RMSNorm"), .use_fallback = false});
  {
    const at::NoGradGuard no_grad;
    EXPECT_TRUE(at::allclose(block.first->forward(x), block.first->own(x), 1e-5, 1e-6));
  }
  EXPECT_EQ(block.first->own_calls, 0);

  Policy policy;
  policy.self_check = false;  // which would pack weights, and see that this kernel cannot
  const KernelizeOptions fails = {.kernel_config = covering(test::fixture("prepacks_and_fails").string() + ":TestRMSNorm"), .policy = policy};
  EXPECT_EQ(kernelize(block, fails).layers[1].state, LayerState::bound);
  EXPECT_TRUE(block.first->forward(x).equal(block.first->own(x)));
  const LayerReport report = kernel_report(block).layers[1];
  EXPECT_EQ(report.state, LayerState::fallback);
  EXPECT_EQ(report.reason.find("prepare returned"), 0u) << report.reason;
}

TEST(OwnModule, WhereKernelsPackWeightsTheLargestAreBoundFirst) {
  struct Sizes : torch::nn::Module {
    std::shared_ptr<test::NormLayer> small = register_module("small", std::make_shared<test::NormLayer>(8));
    std::shared_ptr<test::NormLayer> large = register_module("large", std::make_shared<test::NormLayer>(32));
    std::shared_ptr<test::NormLayer> medium = register_module("medium", std::make_shared<test::NormLayer>(16));
  } sizes;
  sizes.eval();
  std::vector<std::string> bound;
  const auto subscription = on_event([&](const Event& event) { bound.push_back(event.module); });
  using Names = std::vector<std::string>;
  const BindReport report = kernelize(sizes, {.kernel_config = test::fixture_config("training_prepacks", "RMSNorm"), .use_fallback = false});
  EXPECT_EQ(bound, (Names{"large", "medium", "small"}));
  EXPECT_EQ(report.layers[0].module, "small");  // the report's order is the model's
  bound.clear();
  kernelize(sizes, {.kernel_config = test::fixture_config("good"), .use_fallback = false});
  EXPECT_EQ(bound, (Names{"small", "large", "medium"}));
}

TEST(OwnModule, AModuleWithoutLayersIsReportedEmptyWithTheMappedNames) {
  torch::nn::Module empty;
  const BindReport report = kernelize(empty, {.kernel_config = test::fixture_config("good")});
  EXPECT_TRUE(report.layers.empty());
  ASSERT_EQ(report.warnings.size(), 1u);
}

}  // namespace
}  // namespace graft
