// Every kind of failure leaves the layer its own forward, and the report says why.
#include <ATen/Context.h>
#include <gtest/gtest.h>

#include "graft/error.h"
#include "graft/runtime.h"
#include "norm_layer.h"

namespace graft {
namespace {

using test::bind_fixture;
using test::fixture;
using test::fixture_config;
using test::NormLayer;

TEST(Kernelize, BindsAKernelAndReportsWhereItCameFrom) {
  NormLayer layer;
  const LayerReport report = bind_fixture(layer, "good");
  EXPECT_EQ(report.state, LayerState::bound) << report.reason;
  EXPECT_EQ(report.layer, "RMSNorm");
  EXPECT_EQ(report.entry, "TestRMSNorm");
  EXPECT_EQ(report.trust, "local");
  EXPECT_TRUE(report.digest.starts_with("sha256:")) << report.digest;
  const at::Tensor x = at::randn({3, 8});
  EXPECT_TRUE(at::allclose(layer.forward(x), layer.own(x), 1e-5, 1e-6));
  EXPECT_EQ(layer.own_calls, 0);
}

TEST(Kernelize, TheBoundKernelReallyRuns) {
  NormLayer layer;
  ASSERT_EQ(bind_fixture(layer, "good_v2").state, LayerState::bound);  // scales its result by 2
  const at::Tensor x = at::randn({3, 8});
  EXPECT_TRUE(at::allclose(layer.forward(x), 2 * layer.own(x), 1e-5, 1e-6));
}

struct Failure {
  const char* fixture;
  const char* word;  // in the reason
};
class Fallback : public ::testing::TestWithParam<Failure> {};

TEST_P(Fallback, KeepsTheLayersOwnForwardAndSaysWhy) {
  NormLayer layer;
  const LayerReport report = bind_fixture(layer, GetParam().fixture);
  EXPECT_EQ(report.state, LayerState::fallback);
  EXPECT_NE(report.reason.find(GetParam().word), std::string::npos) << report.reason;
  const at::Tensor x = at::randn({2, 8});
  EXPECT_TRUE(layer.forward(x).equal(layer.own(x)));
  EXPECT_EQ(layer.own_calls, 1);
}

TEST_P(Fallback, IsAnErrorWhenFallbackIsNotAllowed) {
  NormLayer layer;
  try {
    bind_fixture(layer, GetParam().fixture, /*use_fallback=*/false);
    FAIL() << "bound";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(GetParam().word), std::string::npos) << error.what();
  }
  const at::Tensor x = at::randn({2, 8});
  EXPECT_TRUE(layer.forward(x).equal(layer.own(x)));
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, Fallback,
    ::testing::Values(Failure{"missing_symbol", "graft_plugin_entry"}, Failure{"other_major", "ABI"},
                      Failure{"wrong_contract", "NoSuchLayer/1"}, Failure{"wrong_dtype", "float64"},
                      Failure{"init_fails", "licence"}, Failure{"init_throws", "init"},
                      Failure{"create_fails", "create"}, Failure{"create_throws", "create"},
                      Failure{"wrong_cpu_feature", "nosuchfeature"}, Failure{"cuda_entry", "not for this device"},
                      Failure{"missing_library", "needs libfixture_absent.so"},
                      Failure{"hostile_Crash", "crashed"}, Failure{"hostile_Exit3", "ended the process"}),
    [](const auto& info) { return std::string(info.param.fixture); });

TEST(Kernelize, ANewerMinorLoads) {
  NormLayer layer;
  EXPECT_EQ(bind_fixture(layer, "newer_minor").state, LayerState::bound);
}

TEST(Kernelize, AMissingEntryNamesThoseThereAre) {
  NormLayer layer;
  const BindReport report = kernelize(layer, {.kernel_config = fixture_config("good", "NoSuchEntry")});
  EXPECT_EQ(report.layers[0].state, LayerState::fallback);
  EXPECT_NE(report.layers[0].reason.find("TestRMSNorm"), std::string::npos) << report.layers[0].reason;
}

TEST(Kernelize, FilesThatAreNoPluginsAreNamed) {
  test::TempFolder folder;
  const std::string good = test::read_file(fixture("good"));
  test::write_file(folder.path() / "text.so", "this is a text, not a shared object, and long enough to look at\n");
  test::write_file(folder.path() / "truncated.so", good.substr(0, good.size() / 2));
  std::filesystem::create_directories(folder.path() / "directory.so");
  for (const std::string name : {"text.so", "truncated.so", "directory.so", "absent.so"}) {
    SCOPED_TRACE(name);
    NormLayer layer;
    const std::string path = (folder.path() / name).string();
    const BindReport report = kernelize(
        layer, {.kernel_config = KernelConfig({{"RMSNorm", path + ":TestRMSNorm"}}, {.use_local_kernel = true})});
    EXPECT_EQ(report.layers[0].state, LayerState::fallback);
    EXPECT_FALSE(report.layers[0].reason.empty());
    const at::Tensor x = at::randn({2, 8});
    EXPECT_TRUE(layer.forward(x).equal(layer.own(x)));
  }
}

TEST(Kernelize, AnEntryThatQuantisesIsBoundByItsNameAlone) {
  NormLayer layer;
  const KernelConfig unnamed({{"RMSNorm", fixture("quantizes").string()}}, {.use_local_kernel = true});
  const LayerReport report = kernelize(layer, {.kernel_config = unnamed}).layers[0];
  EXPECT_EQ(report.state, LayerState::fallback);
  EXPECT_NE(report.reason.find("never chosen by itself (append one of them: TestRMSNorm)"), std::string::npos) << report.reason;
  EXPECT_EQ(bind_fixture(layer, "quantizes").state, LayerState::bound);
}

TEST(Kernelize, UnmappedAndDisabledLayersKeepTheirOwnForward) {
  NormLayer layer;
  EXPECT_EQ(kernelize(layer, {.kernel_config = KernelConfig()}).layers[0].state, LayerState::own);
  EXPECT_EQ(kernelize(layer, {.kernel_config = KernelConfig({{"RMSNorm", ""}})}).layers[0].state,
            LayerState::disabled);
  const KernelConfig cuda_only({{"RMSNorm", {{"cuda", "org/repo:Entry"}}}});
  EXPECT_EQ(kernelize(layer, {.kernel_config = cuda_only}).layers[0].state, LayerState::own);
}

TEST(Kernelize, TheEnvironmentCanSwitchAllMappingsOff) {
  const test::ScopedEnv off("DISABLE_KERNEL_MAPPING", "1");
  NormLayer layer;
  const LayerReport report = bind_fixture(layer, "good");
  EXPECT_EQ(report.state, LayerState::disabled);
  EXPECT_NE(report.reason.find("DISABLE_KERNEL_MAPPING"), std::string::npos);
}

TEST(Kernelize, UnkernelizeGivesTheOwnForwardBack) {
  NormLayer layer;
  bind_fixture(layer, "good_v2");
  unkernelize(layer);
  const at::Tensor x = at::randn({2, 8});
  EXPECT_TRUE(layer.forward(x).equal(layer.own(x)));
  EXPECT_EQ(kernel_report(layer).layers[0].state, LayerState::own);
}

TEST(Kernelize, ContradictoryModesAreRefused) {
  NormLayer layer;
  EXPECT_THROW(kernelize(layer, {.mode = Mode::Inference | Mode::Training}), Error);
  EXPECT_THROW(kernelize(layer, {.mode = Mode::Fallback}), Error);
}

TEST(Kernelize, TrainingFallsBackWithTheReason) {
  NormLayer layer;
  const BindReport report =
      kernelize(layer, {.mode = Mode::Training, .kernel_config = fixture_config("good")});
  EXPECT_EQ(report.layers[0].state, LayerState::fallback);
  EXPECT_NE(report.layers[0].reason.find("no backward"), std::string::npos) << report.layers[0].reason;
}

TEST(Kernelize, TakesDeterministicKernelsAloneWhereTheyAreAskedFor) {
  NormLayer layer;
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  const BindReport good = kernelize(layer, {.kernel_config = fixture_config("good")});
  const BindReport other = kernelize(layer, {.kernel_config = fixture_config("not_deterministic")});
  at::globalContext().setDeterministicAlgorithms(false, /*warn_only=*/false);
  EXPECT_EQ(good.layers[0].state, LayerState::bound);
  EXPECT_EQ(other.layers[0].state, LayerState::fallback);
  EXPECT_NE(other.layers[0].reason.find("deterministic"), std::string::npos) << other.layers[0].reason;
  EXPECT_EQ(kernelize(layer, {.kernel_config = fixture_config("not_deterministic")}).layers[0].state, LayerState::bound);
}

TEST(Kernelize, AnUnknownLayerWarnsWithANearName) {
  NormLayer layer;
  const BindReport report = kernelize(
      layer, {.kernel_config = KernelConfig({{"RMSNrom", fixture("good").string()}}, {.use_local_kernel = true})});
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_NE(report.warnings[0].find("did you mean 'RMSNorm'"), std::string::npos) << report.warnings[0];
}

TEST(Kernelize, AKernelOfAnUnknownPublisherNeedsAllowAllKernels) {
  test::TestHub hub;
  hub.add("somebody/norm", "v1.0.0", fixture("good"));
  const test::ScopedEnv endpoint("HF_ENDPOINT", hub.endpoint().c_str());
  Runtime runtime;
  const KernelRef ref = KernelRef::parse("somebody/norm:TestRMSNorm");
  EXPECT_THROW(runtime.load(ref), Error);
  EXPECT_EQ(runtime.load(ref, {.allow_all_kernels = true}).trust.state, "allowed");
}

}  // namespace
}  // namespace graft
