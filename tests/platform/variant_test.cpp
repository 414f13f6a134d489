#include "graft/variant.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

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
  EXPECT_EQ(reason(choice, "torch-universal"), "is Python alone (noarch): there is nothing to load");
}

TEST(Variant, TakesTheNewestCudaThatTheDriverServes) {
  HostPlatform host = x86("x86_64_v3");
  host.cuda = HostPlatform::Cuda{12080, {"9.0"}, 0};
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
        "graft99999999999-cpu-x86_64-linux", "graft1--x86_64-linux", "graft1-cpu-x86_64-linux-x86_64_v3-x",
        "torch", "torch-", "torch2-cpu-x86_64-linux", "torch-stable-abi", "torch-stable-abi29-cpu-x86_64", "tvm-ffi",
        "tvm-ffi0-cpu-x86_64-linux", "torch29-cxx12-cpu-x86_64-linux", "torch29-cpu-x86_64-linux-x86_64_v3",
        "graft1-rocm-x86_64-linux", "graft1-cpux-x86_64-linux", "graft1-cpu-x86_64-linux-aarch64_v3"})
    EXPECT_EQ(resolve_variant({name}, x86("x86_64_v3"), "cpu").chosen, "") << name;
  EXPECT_NE(resolve_variant({}, x86(""), "cpu").why_none(), "");
}

// Hosts × a listing with something of each family.
struct Host {
  const char* name;
  const char* json;
  const char* device;
  std::vector<const char*> accepted;  // in order of preference
};

class Hosts : public testing::TestWithParam<Host> {};

const std::vector<std::string> kEverything = {
    "graft1-cpu-x86_64-linux", "graft1-cpu-x86_64-linux-x86_64_v3", "graft1-cpu-aarch64-linux", "graft1-cpu-aarch64-darwin",
    "graft1-cpu-x86_64-windows", "graft1-cu118-x86_64-linux", "graft1-cu126-x86_64-linux", "graft1-cu130-x86_64-linux",
    "graft1-cu132-x86_64-linux", "graft1-rocm64-x86_64-linux", "graft1-rocm70-x86_64-linux", "graft1-metal-aarch64-darwin",
    "graft1-xpu20252-x86_64-linux", "graft2-cu130-x86_64-linux",
    "torch29-cxx11-cu126-x86_64-linux", "torch211-cu126-x86_64-linux", "torch211-cxx11-cu130-x86_64-linux",
    "torch211-cu130-x86_64-linux", "torch211-cxx98-cu130-x86_64-linux", "torch212-cu130-x86_64-linux",
    "torch-stable-abi29-cu130-x86_64-linux", "torch-stable-abi210-cu126-x86_64-linux", "torch-stable-abi210-cu130-x86_64-linux",
    "torch-stable-abi212-cu130-x86_64-linux", "tvm-ffi01-cu130-x86_64-linux", "tvm-ffi02-cu130-x86_64-linux",
    "torch211-cpu-x86_64-linux", "torch211-rocm70-x86_64-linux", "torch211-metal-aarch64-darwin", "torch211-xpu20252-x86_64-linux",
    "torch211-cann82-aarch64-linux", "torch-cuda", "torch-universal", "a-folder"};

TEST_P(Hosts, TakeWhatFitsBestFirst) {
  VariantChoice choice = resolve_variant(kEverything, HostPlatform::from_json(GetParam().json), GetParam().device);
  std::vector<std::string> accepted;
  for (const VariantTrace& variant : choice.trace) {
    if (variant.accepted) accepted.push_back(variant.name);
    EXPECT_FALSE(variant.reason.empty()) << variant.name;
  }
  EXPECT_EQ(accepted, std::vector<std::string>(GetParam().accepted.begin(), GetParam().accepted.end()));
  EXPECT_EQ(choice.chosen, accepted.empty() ? "" : accepted.front());
  EXPECT_EQ(choice.trace.size(), kEverything.size());
}

#define ADAPTERS R"("adapters": ["torch", "torch-stable-abi", "tvm-ffi"])"
#define X86 R"("os": "linux", "cpu": "x86_64", "cpu_level": "x86_64_v3")"
INSTANTIATE_TEST_SUITE_P(
    Described, Hosts,
    testing::Values(
        Host{"cpu", "{" X86 "}", "cpu", {"graft1-cpu-x86_64-linux-x86_64_v3", "graft1-cpu-x86_64-linux"}},
        Host{"old_cpu", R"({"os": "linux", "cpu": "x86_64", "cpu_level": "x86_64_v2"})", "cpu", {"graft1-cpu-x86_64-linux"}},
        Host{"arm", R"({"os": "linux", "cpu": "aarch64"})", "cpu", {"graft1-cpu-aarch64-linux"}},
        Host{"mac", R"({"os": "darwin", "cpu": "aarch64", "metal": "26.1"})", "mps", {"graft1-metal-aarch64-darwin"}},
        Host{"old_mac", R"({"os": "darwin", "cpu": "aarch64", "metal": "15.4"})", "metal", {}},
        Host{"windows", R"({"os": "windows", "cpu": "x86_64"})", "cpu", {"graft1-cpu-x86_64-windows"}},
        Host{"cuda_13", "{" X86 R"(, "cuda": {"driver": "13.0", "capabilities": ["9.0"]}})", "cuda:1", {"graft1-cu130-x86_64-linux"}},
        Host{"cuda_12", "{" X86 R"(, "cuda": {"driver": "12.8"}})", "cuda", {"graft1-cu126-x86_64-linux"}},
        Host{"old_runtime", "{" X86 R"(, "cuda": {"driver": "13.2", "runtime": "12.6"}})", "cuda", {"graft1-cu126-x86_64-linux"}},
        Host{"old_driver", "{" X86 R"(, "cuda": {"driver": "13.0", "runtime": "13.2"}})", "cuda", {"graft1-cu130-x86_64-linux"}},
        Host{"no_cuda", "{" X86 "}", "cuda", {}},
        Host{"rocm", "{" X86 R"(, "rocm": "7.0"})", "rocm", {"graft1-rocm70-x86_64-linux"}},
        Host{"other_rocm", "{" X86 R"(, "rocm": "6.3"})", "rocm", {}},
        Host{"xpu", "{" X86 R"(, "xpu": "2025.2"})", "xpu", {"graft1-xpu20252-x86_64-linux"}},
        Host{"npu", R"({"os": "linux", "cpu": "aarch64", "cann": "8.2", "torch": "2.11", )" ADAPTERS "}", "npu", {"torch211-cann82-aarch64-linux"}},
        Host{"all_adapters",
             "{" X86 R"(, "cuda": {"driver": "13.0", "runtime": "13.0"}, "torch": "2.11.0", "torch_cxx11_abi": true, "tvm_ffi": "0.1", )" ADAPTERS "}",
             "cuda",
             {"graft1-cu130-x86_64-linux", "torch-stable-abi210-cu130-x86_64-linux", "torch-stable-abi29-cu130-x86_64-linux",
              "torch211-cu130-x86_64-linux", "torch211-cxx11-cu130-x86_64-linux", "tvm-ffi01-cu130-x86_64-linux"}},
        Host{"torch_without_its_adapter", "{" X86 R"(, "torch": "2.11"})", "cpu", {"graft1-cpu-x86_64-linux-x86_64_v3", "graft1-cpu-x86_64-linux"}},
        Host{"torch_on_cpu", "{" X86 R"(, "torch": "2.11", )" ADAPTERS "}", "cpu",
             {"graft1-cpu-x86_64-linux-x86_64_v3", "graft1-cpu-x86_64-linux", "torch211-cpu-x86_64-linux"}},
        Host{"tpu", "{" X86 "}", "tpu", {}}),
    [](const auto& info) { return info.param.name; });

TEST(Variant, SaysWhyForEachFamily) {
  HostPlatform host = HostPlatform::from_json("{" X86 R"(, "cuda": {"driver": "13.0", "runtime": "13.0"}, "torch": "2.11", "torch_cxx11_abi": true, )" ADAPTERS "}");
  VariantChoice choice = resolve_variant(kEverything, host, "cuda");
  EXPECT_EQ(reason(choice, "graft1-cu132-x86_64-linux"), "needs CUDA 13.2; the driver serves 13.0");
  EXPECT_EQ(reason(choice, "graft1-cu126-x86_64-linux"), "is for CUDA 12; here is 13.0");
  EXPECT_EQ(reason(choice, "torch212-cu130-x86_64-linux"), "needs Torch 2.12; here is 2.11");
  EXPECT_EQ(reason(choice, "torch211-cxx98-cu130-x86_64-linux"), "was built with another C++ ABI than this Torch");
  EXPECT_EQ(reason(choice, "torch-stable-abi212-cu130-x86_64-linux"), "needs Torch 2.12 or newer; here is 2.11");
  EXPECT_EQ(reason(choice, "tvm-ffi01-cu130-x86_64-linux"), "needs tvm-ffi 0.1; here is none");
  host.adapters.clear();
  EXPECT_EQ(reason(resolve_variant(kEverything, host, "cuda"), "torch211-cu130-x86_64-linux"),
            "was built for Python by way of torch, and this Graft has no adapter for it");
  host.cuda->runtime = 13010;
  host.cuda->driver = 13020;
  EXPECT_EQ(reason(resolve_variant(kEverything, host, "cuda"), "graft1-cu132-x86_64-linux"), "needs CUDA 13.2; the runtime is 13.1");
  EXPECT_EQ(reason(resolve_variant(kEverything, host, "rocm"), "graft1-rocm70-x86_64-linux"), "needs ROCm 7.0; there is none here");
}

TEST(Variant, ChoosesTheSameFromAnyOrderOfTheListing) {
  std::mt19937 random(20261124);
  const char* devices[] = {"cpu", "cuda", "rocm", "metal", "xpu", "npu"};
  HostPlatform host = HostPlatform::from_json(
      "{" X86 R"(, "cuda": {"driver": "13.0"}, "rocm": "7.0", "xpu": "2025.2", "torch": "2.11", "tvm_ffi": "0.1", )" ADAPTERS "}");
  for (int round = 0; round < 500; ++round) {
    std::vector<std::string> listing = kEverything;
    std::shuffle(listing.begin(), listing.end(), random);
    listing.resize(random() % listing.size() + 1);
    const char* device = devices[random() % std::size(devices)];
    VariantChoice first = resolve_variant(listing, host, device);
    std::shuffle(listing.begin(), listing.end(), random);
    VariantChoice again = resolve_variant(listing, host, device);
    ASSERT_EQ(first.chosen, again.chosen);
    ASSERT_EQ(first.trace.size(), listing.size());
    for (std::size_t i = 0; i < listing.size(); ++i) {
      ASSERT_EQ(first.trace[i].name, again.trace[i].name);
      ASSERT_EQ(first.trace[i].reason, again.trace[i].reason);
    }
  }
}

TEST(Variant, NamesAtMostADozenInAMessage) {
  std::vector<std::string> listing;
  for (int i = 0; i < 100; ++i) listing.push_back("graft1-cpu-x86_64-os" + std::to_string(i));
  EXPECT_NE(resolve_variant(listing, x86("x86_64_v3"), "cpu").why_none().find("and 88 more"), std::string::npos);
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
