#include "graft/host_platform.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "fixtures.h"
#include "graft/error.h"

namespace graft {
namespace {

const std::vector<std::string> kHaswell = {"abm", "avx",     "avx2",   "bmi1",  "bmi2", "cx16",   "f16c",   "fma",
                                           "lahf_lm", "movbe", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3", "xsave"};

/// The flags that the kernel gives for the first CPU.
std::vector<std::string> proc_cpuinfo() {
  std::ifstream lines("/proc/cpuinfo");
  std::vector<std::string> flags;
  for (std::string line; std::getline(lines, line) && flags.empty();) {
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    std::istringstream names(line.substr(line.find(':') + 1));
    for (std::string name; names >> name;) flags.push_back(name);
  }
  return flags;
}

TEST(HostPlatform, DescribesThisMachine) {
  const HostPlatform& host = HostPlatform::detect();
  EXPECT_EQ(host.os, "linux");
  EXPECT_FALSE(host.cpu.empty());
  EXPECT_FALSE(host.cpu_features.empty());
  EXPECT_FALSE(host.cuda);
  EXPECT_EQ(host.cpu_level.substr(0, 8), host.cpu == "x86_64" ? "x86_64_v" : "");
}

TEST(HostPlatform, NamesNoFeatureThatTheKernelDoesNot) {
  std::vector<std::string> flags = proc_cpuinfo();
  if (flags.empty()) GTEST_SKIP() << "no /proc/cpuinfo here";
  EXPECT_FALSE(cpu_features().empty());
  for (const std::string& feature : cpu_features())
    EXPECT_NE(std::find(flags.begin(), flags.end(), feature), flags.end()) << feature;
}

TEST(HostPlatform, NamesEveryFeatureThatAKernelMayAskFor) {
  std::vector<std::string> flags = proc_cpuinfo(), features = cpu_features();
  for (const char* feature : {"avx", "avx2", "fma", "f16c", "bmi2", "avx512f", "avx512bw", "avx512vl", "avx512_bf16",
                              "avx512_vnni", "avx_vnni", "amx_bf16", "avx512_fp16", "asimd", "bf16", "i8mm", "sve"})
    EXPECT_EQ(std::find(flags.begin(), flags.end(), feature) != flags.end(),
              std::binary_search(features.begin(), features.end(), feature))
        << feature;
}

TEST(HostPlatform, NamesThePsabiLevel) {
  std::vector<std::string> features = kHaswell;
  EXPECT_EQ(x86_64_level(features), "x86_64_v3");
  std::erase(features, "fma");
  EXPECT_EQ(x86_64_level(features), "x86_64_v2");
  EXPECT_EQ(x86_64_level({}), "x86_64_v1");
  features = kHaswell;
  for (const char* added : {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})
    features.push_back(added);
  std::sort(features.begin(), features.end());
  EXPECT_EQ(x86_64_level(features), "x86_64_v4");
}

TEST(HostPlatform, FindsTheFirstMissingFeature) {
  HostPlatform host;
  host.cpu_features = {"avx2", "fma"};
  EXPECT_EQ(host.missing_cpu_feature("avx2 fma"), "");
  EXPECT_EQ(host.missing_cpu_feature("avx2 amx_tile fma"), "amx_tile");
  EXPECT_EQ(host.missing_cpu_feature(nullptr), "");
}

TEST(HostPlatform, SurvivesTheTripThroughJson) {
  HostPlatform host = HostPlatform::detect();
  host.cuda = HostPlatform::Cuda{12080, {"9.0", "8.0"}, 12060};
  host.torch = "2.11";
  host.torch_cxx11_abi = false;
  host.rocm = "6.4";
  host.metal = "26.0";
  host.xpu = "2025.2";
  host.cann = "8.2";
  host.tvm_ffi = "0.1";
  host.adapters = {"torch", "tvm-ffi"};
  HostPlatform back = HostPlatform::from_json(host.to_json());
  EXPECT_EQ(back.to_json(), host.to_json());
  EXPECT_EQ(back.cuda->driver, 12080);
  EXPECT_EQ(back.cuda->runtime, 12060);
  EXPECT_EQ(back.cuda->capabilities, host.cuda->capabilities);
  EXPECT_EQ(back.torch_cxx11_abi, false);
}

TEST(HostPlatform, LeavesOutWhatIsAbsent) {
  HostPlatform host;
  host.os = "darwin";
  host.cpu = "aarch64";
  EXPECT_EQ(host.to_json(), "{\n  \"os\": \"darwin\",\n  \"cpu\": \"aarch64\"\n}");
  EXPECT_FALSE(HostPlatform::from_json(host.to_json()).cuda);
}

TEST(HostPlatform, FindsWhatIsInstalled) {
  test::TempFolder root;
  EXPECT_EQ(find_rocm(root.path()), "");
  EXPECT_EQ(find_oneapi(root.path()), "");
  test::write_file(root.path() / "opt/rocm/.info/version", "6.4.1-83\n");
  std::filesystem::create_directories(root.path() / "opt/intel/oneapi/compiler");
  std::filesystem::create_symlink("2025.2", root.path() / "opt/intel/oneapi/compiler/latest");
  EXPECT_EQ(find_rocm(root.path()), "6.4");
  EXPECT_EQ(find_oneapi(root.path()), "2025.2");
  test::write_file(root.path() / "opt/rocm/.info/version", "unknown");
  EXPECT_EQ(find_rocm(root.path()), "");
}

TEST(HostPlatform, NamesTheFieldThatIsOff) {
  auto why = [](const char* text) {
    try {
      HostPlatform::from_json(text);
    } catch (const Error& e) {
      return e.why();
    }
    return std::string("nothing was thrown");
  };
  EXPECT_NE(why("[]").find("object"), std::string::npos);
  EXPECT_NE(why("{").find("object"), std::string::npos);
  EXPECT_NE(why(R"({"cpu": "x86_64"})").find("os"), std::string::npos);
  EXPECT_NE(why(R"({"os": "linux", "cpu": 3})").find("\"cpu\""), std::string::npos);
  EXPECT_NE(why(R"({"os": "linux", "cpu": "x", "cuda": {"driver": "new"}})").find("\"driver\""), std::string::npos);
  EXPECT_NE(why(R"({"os": "linux", "cpu": "x", "cuda": 13})").find("cuda"), std::string::npos);
  EXPECT_NE(why(R"({"os": "linux", "cpu": "x", "cuda": {}})").find("driver"), std::string::npos);
  EXPECT_NE(why(R"({"os": "linux", "cpu": "x", "roccm": "6.4"})").find("\"roccm\""), std::string::npos);
  EXPECT_NE(why(R"({"os": "linux", "cpu": "x", "rocm": "new"})").find("no version"), std::string::npos);
  EXPECT_NE(why(R"({"os": "linux", "cpu": "x", "adapters": [1]})").find("\"adapters\""), std::string::npos);
}

}  // namespace
}  // namespace graft
