#include "graft/host_platform.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "graft/error.h"

namespace graft {
namespace {

constexpr const char* kHaswell =
    "processor\t: 0\nflags\t\t: cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3 avx avx2 bmi1 bmi2 f16c fma abm "
    "movbe xsave\n"
    "\nprocessor\t: 1\nflags\t\t: other\n";

TEST(HostPlatform, DescribesThisMachine) {
  const HostPlatform& host = HostPlatform::detect();
  EXPECT_EQ(host.os, "linux");
  EXPECT_FALSE(host.cpu.empty());
  EXPECT_FALSE(host.cpu_features.empty());
  EXPECT_FALSE(host.cuda);
  EXPECT_EQ(host.cpu_level.substr(0, 8), host.cpu == "x86_64" ? "x86_64_v" : "");
}

TEST(HostPlatform, ReadsTheFirstCpusFlags) {
  std::vector<std::string> features = parse_cpuinfo(kHaswell);
  EXPECT_EQ(features.size(), 16u);
  EXPECT_TRUE(std::is_sorted(features.begin(), features.end()));
  EXPECT_EQ(parse_cpuinfo("Features\t: fp asimd\n"), (std::vector<std::string>{"asimd", "fp"}));
  EXPECT_TRUE(parse_cpuinfo("").empty());
}

TEST(HostPlatform, NamesThePsabiLevel) {
  std::vector<std::string> features = parse_cpuinfo(kHaswell);
  EXPECT_EQ(x86_64_level(features), "x86_64_v3");
  std::erase(features, "fma");
  EXPECT_EQ(x86_64_level(features), "x86_64_v2");
  EXPECT_EQ(x86_64_level({}), "x86_64_v1");
  features = parse_cpuinfo(kHaswell);
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
  host.cuda = HostPlatform::Cuda{12080, {"9.0", "8.0"}};
  HostPlatform back = HostPlatform::from_json(host.to_json());
  EXPECT_EQ(back.to_json(), host.to_json());
  EXPECT_EQ(back.cuda->driver, 12080);
  EXPECT_EQ(back.cuda->capabilities, host.cuda->capabilities);
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
  EXPECT_NE(why(R"({"os": "linux", "cpu": "x", "cuda": {"driver": "new"}})").find("new"), std::string::npos);
  EXPECT_NE(why(R"({"os": "linux", "cpu": "x", "cuda": 13})").find("cuda"), std::string::npos);
}

}  // namespace
}  // namespace graft
