#include "graft/variant.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "graft/abi/tensor.h"
#include "graft/error.h"

namespace graft {
namespace {

HostPlatform x86(const char* level) {
  HostPlatform host;
  host.os = "linux";
  host.cpu = "x86_64";
  host.cpu_level = level;
  return host;
}

std::string reason(const VariantChoice& choice, const std::string& name) {
  for (const VariantTrace& variant : choice.trace)
    if (variant.name == name) return variant.reason;
  return "not in the trace";
}

const std::vector<std::string> kListing = {
    "graft1-cpu-x86_64-linux",           "graft1-cpu-x86_64-linux-x86_64_v3",
    "graft1-cpu-x86_64-linux-x86_64_v4", "graft1-cu130-x86_64-linux",
    "graft1-cu128-x86_64-linux",         "graft2-cpu-x86_64-linux",
    "graft1-cpu-aarch64-linux",          "graft1-cpu-x86_64-windows",
    "torch29-cxx11-cu128-x86_64-linux",  "torch-universal"};

TEST(Variant, TakesTheHighestCpuLevelThatTheHostReaches) {
  EXPECT_EQ(resolve_variant(kListing, x86("x86_64_v4"), "cpu").chosen, "graft1-cpu-x86_64-linux-x86_64_v4");
  EXPECT_EQ(resolve_variant(kListing, x86("x86_64_v3"), "cpu").chosen, "graft1-cpu-x86_64-linux-x86_64_v3");
  EXPECT_EQ(resolve_variant(kListing, x86("x86_64_v1"), "cpu").chosen, "graft1-cpu-x86_64-linux");
}

TEST(Variant, GivesAReasonForEachThatIsRejected) {
  VariantChoice choice = resolve_variant(kListing, x86("x86_64_v3"), "cpu");
  EXPECT_EQ(choice.trace.size(), kListing.size());
  EXPECT_EQ(reason(choice, "graft1-cpu-x86_64-linux-x86_64_v4"), "needs x86_64_v4; this CPU is x86_64_v3");
  EXPECT_EQ(reason(choice, "graft2-cpu-x86_64-linux"), "needs plugin ABI 2; this Graft has 1");
  EXPECT_EQ(reason(choice, "graft1-cpu-aarch64-linux"), "is for aarch64; this CPU is x86_64");
  EXPECT_EQ(reason(choice, "graft1-cpu-x86_64-windows"), "is for windows; this is linux");
  EXPECT_EQ(reason(choice, "graft1-cu130-x86_64-linux"), "is for device cuda; asked for cpu");
  EXPECT_EQ(reason(choice, "torch-universal"), "is not of Graft's family (graft1-…)");
}

TEST(Variant, TakesTheNewestCudaThatTheDriverServes) {
  HostPlatform host = x86("x86_64_v3");
  host.cuda = HostPlatform::Cuda{12080, {"9.0"}};
  VariantChoice choice = resolve_variant(kListing, host, "cuda:0");
  EXPECT_EQ(choice.chosen, "graft1-cu128-x86_64-linux");
  EXPECT_EQ(reason(choice, "graft1-cu130-x86_64-linux"), "needs CUDA 13.0; the driver serves 12.8");
  host.cuda->driver = 13010;
  EXPECT_EQ(resolve_variant(kListing, host, "cuda").chosen, "graft1-cu130-x86_64-linux");
}

TEST(Variant, SaysThatThereIsNoCuda) {
  VariantChoice choice = resolve_variant(kListing, x86("x86_64_v3"), "cuda");
  EXPECT_EQ(choice.chosen, "");
  EXPECT_NE(choice.why_none().find("no CUDA driver"), std::string::npos);
}

TEST(Variant, DoesNotDependOnTheListingsOrder) {
  std::vector<std::string> listing = kListing;
  std::sort(listing.begin(), listing.end());
  VariantChoice expected = resolve_variant(kListing, x86("x86_64_v3"), "cpu");
  for (int i = 0; i < 200; ++i) {
    std::next_permutation(listing.begin(), listing.end());
    VariantChoice choice = resolve_variant(listing, x86("x86_64_v3"), "cpu");
    ASSERT_EQ(choice.chosen, expected.chosen);
    for (std::size_t j = 0; j < choice.trace.size(); ++j)
      ASSERT_EQ(choice.trace[j].name, expected.trace[j].name);
  }
}

TEST(Variant, PutsAcceptedOnesFirst) {
  VariantChoice choice = resolve_variant(kListing, x86("x86_64_v3"), "cpu");
  EXPECT_TRUE(choice.trace[0].accepted);
  EXPECT_TRUE(choice.trace[1].accepted);
  EXPECT_EQ(choice.trace[1].name, "graft1-cpu-x86_64-linux");
  EXPECT_FALSE(choice.trace[2].accepted);
}

TEST(Variant, SurvivesOddNames) {
  for (std::string name :
       {"", "-", "graft", "graft1", "graft-cpu-x-y", "graft1-cu-x86_64-linux", "graft1-cu9-x86_64-linux",
        "graft1-cpu-x86_64-linux-", "graft1-cpu-x86_64-linux-x86_64_v", "graft1-cpu-x86_64-linux-avx",
        "graft99999999999-cpu-x86_64-linux", "graft1--x86_64-linux", "graft1-cpu-x86_64-linux-x86_64_v3-x"})
    EXPECT_EQ(resolve_variant({name}, x86("x86_64_v3"), "cpu").chosen, "") << name;
  EXPECT_NE(resolve_variant({}, x86(""), "cpu").why_none(), "");
}

TEST(Device, ReadsKindsAndAliases) {
  EXPECT_EQ(device_kind("cuda:1"), "cuda");
  EXPECT_EQ(device_kind("mps"), "metal");
  EXPECT_EQ(device_type("cuda"), GRAFT_DEVICE_CUDA);
  EXPECT_EQ(device_type("npu"), -1);
  for (const char* bad : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"})
    EXPECT_THROW(device_kind(bad), Error) << bad;
}

}  // namespace
}  // namespace graft
