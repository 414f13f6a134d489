// Which mapping is in force: scopes, what was registered, the environment's switches, and the modes that a slot goes between.
#include "graft/kernel_mapping.h"

#include <ATen/ops/allclose.h>
#include <gtest/gtest.h>

#include <thread>

#include "graft/error.h"
#include "norm_layer.h"

namespace graft {
namespace {

using test::fixture;
using test::fixture_config;
using test::NormLayer;

std::string path(const char* name) { return fixture(name).string() + ":TestRMSNorm"; }

/// How often the layer's own result is in what it gives: 1 of its own forward, 2 with good_v2, 3 with good_v3.
int scale(const NormLayer& layer) {
  const at::Tensor x = at::randn({4, 8}), out = layer.forward(x), own = layer.own(x);
  for (int scale : {1, 2, 3})
    if (at::allclose(out, scale * own, 1e-4, 1e-5)) return scale;
  return 0;
}

TEST(KernelMapping, AScopeHoldsForItsBlock) {
  NormLayer layer;
  {
    auto scope = use_kernel_mapping(fixture_config("good_v2"));
    kernelize(layer);
    EXPECT_EQ(scale(layer), 2);
    {
      auto inner = use_kernel_mapping(fixture_config("good_v3"));
      kernelize(layer);
      EXPECT_EQ(scale(layer), 3);
    }
    kernelize(layer);
    EXPECT_EQ(scale(layer), 2);
  }
  EXPECT_EQ(active_kernel_mapping().json(), KernelConfig::defaults().json());
}

TEST(KernelMapping, AScopeInheritsUnlessItIsToldNotTo) {
  {
    auto scope = use_kernel_mapping(fixture_config("good_v2"));
    EXPECT_NE(active_kernel_mapping().find("SwiGLUMLP"), nullptr);
    auto alone = use_kernel_mapping(KernelConfig({{"SiLU", ""}}), {.inherit_mapping = false});
    EXPECT_EQ(active_kernel_mapping().layers().size(), 1u);
  }
  EXPECT_NE(active_kernel_mapping().find("RMSNorm"), nullptr);
}

TEST(KernelMapping, AScopeIsItsThreadsOwn) {
  auto scope = use_kernel_mapping(fixture_config("good_v2"));
  std::thread([] { EXPECT_EQ(active_kernel_mapping().json(), KernelConfig::defaults().json()); }).join();
}

TEST(KernelMapping, WhatIsRegisteredHoldsForEveryThread) {
  register_kernel_mapping(fixture_config("good_v3"));
  std::thread([] {
    NormLayer layer;
    kernelize(layer);
    EXPECT_EQ(scale(layer), 3);
  }).join();
  register_kernel_mapping(KernelConfig::defaults(), {.inherit_mapping = false});
  EXPECT_EQ(active_kernel_mapping().json(), KernelConfig::defaults().json());
}

TEST(KernelMapping, AConfigThatIsGivenIsTakenAlone) {
  NormLayer layer;
  auto scope = use_kernel_mapping(fixture_config("good_v2"));
  kernelize(layer, {.kernel_config = KernelConfig({{"SiLU", ""}})});
  EXPECT_EQ(scale(layer), 1);
}

TEST(KernelMapping, ThreadsBindAndRunDifferentModelsAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([i] {
      const int expected = 2 + i % 2;
      NormLayer layer;
      for (int round = 0; round < 50; ++round) {
        auto scope = use_kernel_mapping(fixture_config(expected == 2 ? "good_v2" : "good_v3"));
        kernelize(layer);
        EXPECT_EQ(scale(layer), expected);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(KernelMapping, SwitchesOfTheEnvironmentTurnKernelsOff) {
  NormLayer layer;
  const auto bound = [&] { return kernelize(layer, {.kernel_config = fixture_config("good_v2")}).layers[0]; };
  for (const char* off : {"0", "OFF", "no", "False"}) {
    const test::ScopedEnv use("USE_HUB_KERNELS", off);
    EXPECT_EQ(bound().state, LayerState::disabled) << off;
    EXPECT_NE(bound().reason.find("USE_HUB_KERNELS"), std::string::npos);
    EXPECT_EQ(scale(layer), 1);
  }
  for (const char* on : {"1", "on", "YES", "true", ""}) {
    const test::ScopedEnv use("USE_HUB_KERNELS", on);
    EXPECT_EQ(bound().state, LayerState::bound) << on;
  }
  {
    const test::ScopedEnv use("USE_HUB_KERNELS", "maybe");
    EXPECT_THROW(bound(), Error);
  }
  const test::ScopedEnv mapping("DISABLE_KERNEL_MAPPING", "1");
  EXPECT_EQ(bound().state, LayerState::disabled);
}

KernelConfig by_mode(const char* inference, const char* training) {
  return KernelConfig({{"RMSNorm", {{"cpu", {{Mode::Inference, inference}, {Mode::Training, training}}}}}}, {.use_local_kernel = true});
}

TEST(KernelMapping, EachModeHasItsKernel) {
  NormLayer layer;
  kernelize(layer, {.kernel_config = by_mode(path("good_v2").c_str(), path("good_v3").c_str())});
  EXPECT_EQ(scale(layer), 2);
  EXPECT_EQ(kernel_report(layer).layers[0].state, LayerState::bound);
  layer.train();  // good_v3 has no backward
  EXPECT_EQ(scale(layer), 1);
  EXPECT_EQ(kernel_report(layer).layers[0].state, LayerState::fallback);
  EXPECT_NE(kernel_report(layer).layers[0].reason.find("no backward"), std::string::npos);
  EXPECT_EQ(kernel_report(layer).layers[0].reference, path("good_v3"));
  layer.eval();
  EXPECT_EQ(scale(layer), 2);
  EXPECT_EQ(kernel_report(layer).layers[0].reference, path("good_v2"));
}

TEST(KernelMapping, AModeWithoutALineLeavesTheLayerItsOwnForward) {
  NormLayer layer;
  const KernelConfig inference({{"RMSNorm", {{"cpu", {{Mode::Inference, path("good_v2")}}}}}}, {.use_local_kernel = true});
  kernelize(layer, {.kernel_config = inference});
  EXPECT_EQ(scale(layer), 2);
  layer.train();
  EXPECT_EQ(scale(layer), 1);
  EXPECT_EQ(kernel_report(layer).layers[0].state, LayerState::own);
  EXPECT_EQ(kernel_report(layer).layers[0].reason, "not mapped for cpu in training");
}

TEST(KernelMapping, AnExplicitModeStaysWhateverTheModuleDoes) {
  NormLayer layer;
  kernelize(layer, {.mode = Mode::Inference, .kernel_config = fixture_config("good_v2")});
  layer.train();
  const at::NoGradGuard no_grad;
  EXPECT_EQ(scale(layer), 2);
}

TEST(KernelMapping, WithoutAFallbackAModeWithoutItsKernelIsAnErrorAtTheCall) {
  NormLayer layer;
  kernelize(layer, {.kernel_config = by_mode(path("good_v2").c_str(), path("good_v3").c_str()), .use_fallback = false});
  EXPECT_EQ(scale(layer), 2);
  layer.train();
  try {
    layer.forward(at::randn({2, 8}));
    FAIL() << "the own forward ran";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_NE(error.why().find("no backward"), std::string::npos) << error.what();
  }
  layer.eval();
  EXPECT_EQ(scale(layer), 2);
}

}  // namespace
}  // namespace graft
