#include "graft/kernel_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "graft/error.h"
#include "graft/kernel_ref.h"

namespace graft {
namespace {

std::string found(const LayerMapping& mapping, const std::string& device, int capability = 0, Mode mode = Mode::Inference) {
  const std::string* reference = mapping.find(device, capability, mode);
  return reference ? *reference : "none";
}

TEST(KernelConfig, MapsALayerForAllDevicesOrForEach) {
  const KernelConfig config({{"RMSNorm", "org/norm:Norm"},
                             {"SiLU", {{"cuda", "org/cuda:SiLU"}, {"cpu", "org/cpu:SiLU"}, {"mps", "org/metal:SiLU"}}}});
  EXPECT_EQ(*config.find("RMSNorm")->find("cuda"), "org/norm:Norm");
  EXPECT_EQ(*config.find("SiLU")->find("cpu"), "org/cpu:SiLU");
  EXPECT_EQ(*config.find("SiLU")->find("metal"), "org/metal:SiLU");
  EXPECT_EQ(config.find("SiLU")->find("xpu"), nullptr);
  EXPECT_EQ(config.find("Linear"), nullptr);
}

TEST(KernelConfig, TakesEntriesRevisionsAndOneDeviceAlone) {
  const KernelConfig config({{"RMSNorm", {{"cuda", "org/norm@>=1.0,<2.0:Norm"}}}, {"SiLU", "org/norm@v1.2.0:SiLU"}, {"GeLU", ""}});
  EXPECT_EQ(found(*config.find("RMSNorm"), "cuda"), "org/norm@>=1.0,<2.0:Norm");
  EXPECT_EQ(found(*config.find("RMSNorm"), "cpu"), "none");
  EXPECT_EQ(found(*config.find("SiLU"), "xpu"), "org/norm@v1.2.0:SiLU");
  EXPECT_EQ(found(*config.find("GeLU"), "cpu"), "");
}

TEST(KernelConfig, SearchesModesInTheOrderOfHfKernels) {
  const Mode compiled_inference = Mode::Inference | Mode::TorchCompile, compiled_training = Mode::Training | Mode::TorchCompile;
  const LayerMapping all{{"cpu",
                          {{Mode::Inference, "o/r:I"},
                           {Mode::Inference | Mode::TorchCompile, "o/r:IC"},
                           {Mode::Training, "o/r:T"},
                           {Mode::Training | Mode::TorchCompile, "o/r:TC"},
                           {Mode::Fallback, "o/r:F"}}}};
  EXPECT_EQ(found(all, "cpu", 0, Mode::Inference), "o/r:I");
  EXPECT_EQ(found(all, "cpu", 0, compiled_inference), "o/r:IC");
  EXPECT_EQ(found(all, "cpu", 0, Mode::Training), "o/r:T");
  EXPECT_EQ(found(all, "cpu", 0, compiled_training), "o/r:TC");
  const LayerMapping training{{"cpu", {{Mode::Training, "o/r:T"}}}};
  EXPECT_EQ(found(training, "cpu", 0, Mode::Inference), "o/r:T");  // what trains also infers
  EXPECT_EQ(found(training, "cpu", 0, compiled_inference), "none");
  const LayerMapping compiled{{"cpu", {{Mode::Training | Mode::TorchCompile, "o/r:TC"}}}};
  for (Mode mode : {Mode::Inference, compiled_inference, Mode::Training, compiled_training}) EXPECT_EQ(found(compiled, "cpu", 0, mode), "o/r:TC");
  const LayerMapping inference{{"cpu", {{Mode::Inference, "o/r:I"}}}};
  EXPECT_EQ(found(inference, "cpu", 0, Mode::Training), "none");
  const LayerMapping both{{"cpu", {{Mode::Inference, "o/r:I"}, {Mode::Fallback, "o/r:F"}}}};
  EXPECT_EQ(found(both, "cpu", 0, Mode::Training), "o/r:F");
}

TEST(KernelConfig, TakesTheSmallestIntervalThatHoldsTheCapability) {
  const LayerMapping mapping{{{"cuda", {75, 89}}, "o/r:Turing"}, {{"cuda", {80, 89}}, "o/r:Ampere"}, {{"cuda", {90, 90}}, "o/r:Hopper"}, {"cuda", "o/r:Any"}};
  EXPECT_EQ(found(mapping, "cuda", 75), "o/r:Turing");
  EXPECT_EQ(found(mapping, "cuda", 80), "o/r:Ampere");
  EXPECT_EQ(found(mapping, "cuda", 89), "o/r:Ampere");
  EXPECT_EQ(found(mapping, "cuda", 90), "o/r:Hopper");
  EXPECT_EQ(found(mapping, "cuda", 120), "o/r:Any");
  EXPECT_EQ(found(mapping, "cpu"), "none");
  const LayerMapping hopper{{{"cuda", {90, 90}}, "o/r:Hopper"}};
  EXPECT_EQ(found(hopper, "cuda", 89), "none");
}

TEST(KernelConfig, WithPutsTheOthersMappingsOverItsOwn) {
  const KernelConfig merged = KernelConfig({{"A", "org/a:A"}, {"B", "org/b:B"}}).with(KernelConfig({{"B", ""}}));
  EXPECT_EQ(*merged.find("A")->find("cpu"), "org/a:A");
  EXPECT_EQ(*merged.find("B")->find("cpu"), "");
}

TEST(KernelConfig, WithReplacesTheSameDeviceIntervalAndModeAlone) {
  const LayerMapping mine{{{"cuda", {80, 89}}, "o/r:Old"}, {"cpu", {{Mode::Inference, "o/r:I"}, {Mode::Training, "o/r:T"}}}};
  const LayerMapping merged = mine.with({{{"cuda", {80, 89}}, "o/r:New"}, {{"cuda", {90, 99}}, "o/r:Hopper"}, {"cpu", {{Mode::Training, "o/r:T2"}}}});
  EXPECT_EQ(found(merged, "cuda", 86), "o/r:New");
  EXPECT_EQ(found(merged, "cuda", 90), "o/r:Hopper");
  EXPECT_EQ(found(merged, "cpu"), "o/r:I");
  EXPECT_EQ(found(merged, "cpu", 0, Mode::Training), "o/r:T2");
  EXPECT_EQ(found(merged.with("o/r:All"), "cpu"), "o/r:All");
  EXPECT_EQ(found(LayerMapping("o/r:All").with({{"cpu", "o/r:Cpu"}}), "cuda"), "o/r:All");
}

TEST(KernelConfig, APathNeedsUseLocalKernel) {
  EXPECT_THROW(KernelConfig({{"RMSNorm", "/path/to/kernel:Norm"}}), Error);
  EXPECT_THROW(KernelConfig({{"RMSNorm", {{"cpu", {{Mode::Training, "/path/to/kernel:Norm"}}}}}}), Error);
  const KernelConfig local({{"RMSNorm", "/path/to/kernel:Norm"}}, {.use_local_kernel = true});
  EXPECT_NE(local.find("RMSNorm"), nullptr);
}

TEST(KernelConfig, RefusesWhatCannotBeMeant) {
  EXPECT_THROW(KernelConfig({{"RMSNorm", "org/repo@:Norm"}}), Error);
  EXPECT_THROW(KernelConfig({{"", "org/repo:Norm"}}), Error);
  EXPECT_THROW(KernelConfig({{"RMSNorm", "org/a:A"}, {"RMSNorm", "org/b:B"}}), Error);
  EXPECT_THROW(KernelConfig({{"RMSNorm", {{"abacus", "org/a:A"}, {"cpu", "org/b:B"}}}}), Error);
  EXPECT_THROW(KernelConfig({{"RMSNorm", {{"mps", "org/a:A"}, {"metal", "org/b:B"}}}}), Error);
  EXPECT_THROW((LayerMapping{{"cpu", {{Mode::Inference, "o/r:A"}, {Mode::Inference, "o/r:B"}}}}), Error);
  EXPECT_THROW((LayerMapping{{"cpu", {{Mode::Inference | Mode::Training, "o/r:A"}}}}), Error);
  EXPECT_THROW((LayerMapping{{"cpu", {{Mode::TorchCompile, "o/r:A"}}}}), Error);
  EXPECT_THROW((LayerMapping{{"cpu", {{Mode::Fallback | Mode::Training, "o/r:A"}}}}), Error);
  EXPECT_THROW((LayerMapping{{{"cpu", {75, 89}}, "o/r:A"}}), Error);
  EXPECT_THROW((LayerMapping{{{"cuda", {89, 75}}, "o/r:A"}}), Error);
  EXPECT_THROW((LayerMapping{{{"cuda", {75, 89}}, "o/r:A"}, {{"cuda", {75, 89}}, "o/r:B"}}), Error);
}

TEST(KernelConfig, TheDefaultsNameFirstPartyKernelsAlone) {
  EXPECT_GE(KernelConfig::defaults().layers().size(), 6u);
  for (const auto& [layer, mapping] : KernelConfig::defaults().layers()) {
    const std::string* reference = mapping.find(layer == "Sampling" ? "cuda" : "cpu", 90, Mode::Inference);
    ASSERT_NE(reference, nullptr) << layer;
    EXPECT_TRUE(KernelRef::parse(*reference).repo.starts_with("graft-kernels/")) << *reference;
  }
}

TEST(KernelConfig, PrintsItself) {
  const KernelConfig config({{"RMSNorm", {{{"cuda", {80, 89}}, "o/r:A"}, {"cpu", {{Mode::Training | Mode::TorchCompile, "o/r:B"}}}}}, {"SiLU", "o/r:C"}});
  const auto printed = nlohmann::json::parse(config.json());
  EXPECT_EQ(printed["RMSNorm"][0], (nlohmann::json{{"device", "cuda"}, {"capability", {80, 89}}, {"mode", "fallback"}, {"kernel", "o/r:A"}}));
  EXPECT_EQ(printed["RMSNorm"][1]["mode"], "training|torch_compile");
  EXPECT_EQ(printed["SiLU"][0]["device"], "*");
}

}  // namespace
}  // namespace graft
