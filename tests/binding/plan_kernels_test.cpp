// plan_kernels says what kernelize then does, and leaves everything as it was.
#include <gtest/gtest.h>

#include "graft/error.h"
#include "norm_layer.h"

namespace graft {
namespace {

using test::bind_fixture;
using test::fixture_config;
using test::NormLayer;

/// All of a line of the report that can be held against another's.
std::string line(const LayerReport& report) {
  std::string text;
  for (const std::string& part : {report.layer, report.module, std::string(name(report.state)),
                                  report.reference, report.repo, report.variant, report.entry, report.digest,
                                  report.trust, report.rule, report.covered_by, report.reason}) {
    text += part + " | ";
  }
  return text;
}

void expect_own_forward(const NormLayer& layer) {
  const int before = layer.own_calls;
  const at::Tensor x = at::randn({2, 8});
  EXPECT_TRUE(layer.forward(x).equal(layer.own(x)));
  EXPECT_EQ(layer.own_calls, before + 1);
}

class Planned : public ::testing::TestWithParam<const char*> {};

TEST_P(Planned, IsWhatKernelizeReports) {
  NormLayer layer, meta(8, at::TensorOptions(at::kMeta));
  layer.eval();
  const KernelizeOptions options{.kernel_config = fixture_config(GetParam())};
  plan_kernels(layer, options);  // what crashes in its probe says from then on that it is quarantined
  const BindReport planned = plan_kernels(layer, options);
  expect_own_forward(layer);
  EXPECT_EQ(kernel_report(layer).layers.at(0).state, LayerState::own);
  const BindReport planned_on_meta = plan_kernels(meta, options);
  const BindReport bound = kernelize(layer, options);
  EXPECT_EQ(line(planned.layers.at(0)), line(bound.layers.at(0)));
  EXPECT_EQ(line(planned_on_meta.layers.at(0)), line(bound.layers.at(0)));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Planned,
                         ::testing::Values("good", "newer_minor", "missing_symbol", "other_major",
                                           "wrong_contract", "wrong_dtype", "init_fails", "init_throws",
                                           "create_fails", "create_throws", "wrong_cpu_feature", "cuda_entry",
                                           "missing_library", "hostile_Crash"),
                         [](const auto& info) { return std::string(info.param); });

TEST(PlanKernels, LeavesABoundLayerBound) {
  NormLayer layer;
  ASSERT_EQ(bind_fixture(layer, "good_v2").state, LayerState::bound);  // scales its result by 2
  const BindReport planned = plan_kernels(layer, {.kernel_config = fixture_config("create_fails")});
  EXPECT_EQ(planned.layers[0].state, LayerState::fallback);
  const at::Tensor x = at::randn({3, 8});
  EXPECT_TRUE(at::allclose(layer.forward(x), 2 * layer.own(x), 1e-5, 1e-6));
  EXPECT_EQ(kernel_report(layer).layers[0].state, LayerState::bound);
}

TEST(PlanKernels, ShowsTheKernelNoWeight) {
  NormLayer layer;
  const KernelizeOptions options{.kernel_config = fixture_config("prepare_fails")};
  EXPECT_EQ(plan_kernels(layer, options).layers[0].state, LayerState::bound);
  const LayerReport bound = kernelize(layer, options).layers[0];
  EXPECT_EQ(bound.state, LayerState::fallback);
  EXPECT_NE(bound.reason.find("none of mine"), std::string::npos) << bound.reason;
}

TEST(PlanKernels, ChecksDtypesOfWeightsThatHoldNoData) {
  const NormLayer half(8, at::TensorOptions(at::kMeta).dtype(at::kHalf));
  const LayerReport report = plan_kernels(half, {.kernel_config = fixture_config("good")}).layers[0];
  EXPECT_EQ(report.state, LayerState::fallback);
  EXPECT_NE(report.reason.find("float16"), std::string::npos) << report.reason;
}

TEST(PlanKernels, ForAnotherDeviceThanTheWeightsAre) {
  const NormLayer meta(8, at::TensorOptions(at::kMeta));
  const KernelConfig cpu_only({{"RMSNorm", {{"cpu", "org/repo:Entry"}}}});
  const LayerReport own =
      plan_kernels(meta, {.kernel_config = cpu_only, .device = c10::Device(c10::kCUDA, 0)}).layers[0];
  EXPECT_EQ(own.state, LayerState::own);
  EXPECT_EQ(own.reason, "not mapped for cuda");
  const LayerReport cpu =
      plan_kernels(meta, {.kernel_config = fixture_config("good"), .device = c10::Device(c10::kCUDA, 0)})
          .layers[0];
  EXPECT_EQ(cpu.state, LayerState::fallback);
}

TEST(PlanKernels, FailsAsKernelizeDoes) {
  const NormLayer layer;
  EXPECT_THROW(plan_kernels(layer, {.mode = Mode::Inference | Mode::Training}), Error);
  EXPECT_THROW(plan_kernels(layer, {.kernel_config = fixture_config("create_fails"), .use_fallback = false}),
               Error);
}

TEST(PlanKernels, WarnsOfNamesThatNoLayerHas) {
  const NormLayer layer;
  const BindReport report = plan_kernels(layer, {.kernel_config = KernelConfig({{"RMSNrom", ""}})});
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_FALSE(report.any_fallback());
  EXPECT_FALSE(report.as_mapped());
}

TEST(Kernelize, WeightsWithoutDataAreNotShownToAKernel) {
  NormLayer meta(8, at::TensorOptions(at::kMeta));
  const LayerReport report = bind_fixture(meta, "good");
  EXPECT_EQ(report.state, LayerState::fallback);
  EXPECT_NE(report.reason.find("meta device"), std::string::npos) << report.reason;
}

}  // namespace
}  // namespace graft
