#include "graft/kernel_config.h"

#include <gtest/gtest.h>

#include "graft/error.h"
#include "graft/kernel_ref.h"

namespace graft {
namespace {

TEST(KernelConfig, MapsALayerForAllDevicesOrForEach) {
  const KernelConfig config({{"RMSNorm", "org/norm:Norm"},
                             {"SiLU", {{"cuda", "org/cuda:SiLU"}, {"cpu", "org/cpu:SiLU"}, {"mps", "org/metal:SiLU"}}}});
  EXPECT_EQ(*config.find("RMSNorm")->find("cuda"), "org/norm:Norm");
  EXPECT_EQ(*config.find("SiLU")->find("cpu"), "org/cpu:SiLU");
  EXPECT_EQ(*config.find("SiLU")->find("metal"), "org/metal:SiLU");
  EXPECT_EQ(config.find("SiLU")->find("xpu"), nullptr);
  EXPECT_EQ(config.find("Linear"), nullptr);
}

TEST(KernelConfig, WithPutsTheOthersMappingsOverItsOwn) {
  const KernelConfig merged = KernelConfig({{"A", "org/a:A"}, {"B", "org/b:B"}}).with(KernelConfig({{"B", ""}}));
  EXPECT_EQ(*merged.find("A")->find("cpu"), "org/a:A");
  EXPECT_EQ(*merged.find("B")->find("cpu"), "");
}

TEST(KernelConfig, APathNeedsUseLocalKernel) {
  EXPECT_THROW(KernelConfig({{"RMSNorm", "/path/to/kernel:Norm"}}), Error);
  const KernelConfig local({{"RMSNorm", "/path/to/kernel:Norm"}}, {.use_local_kernel = true});
  EXPECT_NE(local.find("RMSNorm"), nullptr);
}

TEST(KernelConfig, RefusesWhatCannotBeMeant) {
  EXPECT_THROW(KernelConfig({{"RMSNorm", "org/repo@:Norm"}}), Error);
  EXPECT_THROW(KernelConfig({{"", "org/repo:Norm"}}), Error);
  EXPECT_THROW(KernelConfig({{"RMSNorm", "org/a:A"}, {"RMSNorm", "org/b:B"}}), Error);
  EXPECT_THROW(KernelConfig({{"RMSNorm", {{"abacus", "org/a:A"}, {"cpu", "org/b:B"}}}}), Error);
  EXPECT_THROW(KernelConfig({{"RMSNorm", {{"mps", "org/a:A"}, {"metal", "org/b:B"}}}}), Error);
}

TEST(KernelConfig, TheDefaultsNameFirstPartyKernelsAlone) {
  EXPECT_GE(KernelConfig::defaults().layers().size(), 6u);
  for (const auto& [layer, mapping] : KernelConfig::defaults().layers()) {
    const std::string* reference = mapping.find("cpu");
    ASSERT_NE(reference, nullptr) << layer;
    EXPECT_TRUE(KernelRef::parse(*reference).repo.starts_with("graft-kernels/")) << *reference;
  }
}

}  // namespace
}  // namespace graft
