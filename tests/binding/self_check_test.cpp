// A kernel that gives something else than its layer's own forward is not bound, and the report says by how much.
#include <gtest/gtest.h>

#include "graft/error.h"
#include "graft/policy.h"
#include "norm_layer.h"
#include "self_checks.h"

namespace graft {
namespace {

using test::fixture_config;
using test::NormLayer;

class SelfCheckTest : public testing::Test {
 protected:
  LayerReport bind(const std::string& name, bool self_check = true) {
    Policy policy;
    policy.self_check = self_check;
    return kernelize(layer_, {.kernel_config = fixture_config(name), .policy = policy}).layers.at(0);
  }
  NormLayer layer_;
  test::TempFolder folder_;
  test::ScopedEnv state_{"GRAFT_STATE_DIR", folder_.path().c_str()};
};

TEST_F(SelfCheckTest, BindsAKernelWhoseResultsAreRight) {
  EXPECT_EQ(bind("good").state, LayerState::bound);
}

TEST_F(SelfCheckTest, LeavesAWrongKernelUnboundAndSaysHowWrong) {
  for (const char* wrong : {"good_v2", "off_by_one_percent", "not_a_number"}) {
    const LayerReport report = bind(wrong);
    EXPECT_EQ(report.state, LayerState::fallback) << wrong;
    EXPECT_NE(report.reason.find("differ from the layer's own by up to"), std::string::npos) << report.reason;
    EXPECT_NE(report.reason.find("graft bench"), std::string::npos) << report.reason;
  }
}

TEST_F(SelfCheckTest, LeavesAKernelThatFailsUnbound) {
  const LayerReport report = bind("forward_fails");
  EXPECT_EQ(report.state, LayerState::fallback);
  EXPECT_NE(report.reason.find("self-check failed"), std::string::npos) << report.reason;
}

TEST_F(SelfCheckTest, HasNothingAgainstAKernelThatServesNoSmallShape) {
  EXPECT_EQ(bind("forward_unsupported").state, LayerState::bound);
}

TEST_F(SelfCheckTest, AllowsAnEntryThatQuantisesItsErrorAndTheReportSaysSo) {
  const LayerReport report = bind("quantizes");
  EXPECT_EQ(report.state, LayerState::bound) << report.reason;
  EXPECT_NE(report.reason.find("weights are quantised here"), std::string::npos) << report.reason;
}

TEST_F(SelfCheckTest, LeavesAnEntryThatQuantisesUnboundWhereItsErrorIsAnother) {
  for (const char* wrong : {"quantizes_wrongly", "quantizes_to_nan"}) {
    const LayerReport report = bind(wrong);
    EXPECT_EQ(report.state, LayerState::fallback) << wrong;
    EXPECT_NE(report.reason.find("quantised weights"), std::string::npos) << report.reason;
  }
}

TEST_F(SelfCheckTest, IsSwitchedOffByThePolicy) {
  EXPECT_EQ(bind("good_v2", /*self_check=*/false).state, LayerState::bound);
}

TEST_F(SelfCheckTest, IsRememberedForTheLibrary) {
  const LayerReport first = bind("good_v2");
  const SelfChecks known(folder_.path());
  const std::string what = "TestRMSNorm RMSNorm/1  cpu float32";
  const auto complaint = known.find(first.digest, what);
  ASSERT_TRUE(complaint);
  EXPECT_NE(first.reason.find(*complaint), std::string::npos);
  known.remember(first.digest, what, "");  // as if it had been right
  EXPECT_EQ(bind("good_v2").state, LayerState::bound);
}

TEST_F(SelfCheckTest, ReadsWhatAnEarlierProcessFound) {
  const std::string digest = bind("good_v2", /*self_check=*/false).digest;
  const std::filesystem::path file = folder_.path() / "self_checks" / (digest.substr(digest.find(':') + 1) + ".json");
  test::write_file(file, R"({"TestRMSNorm RMSNorm/1  cpu float32": ""})");  // as if it had been right
  EXPECT_EQ(bind("good_v2").state, LayerState::bound);
}

TEST_F(SelfCheckTest, LooksAgainWhereWhatAnEarlierProcessFoundIsBroken) {
  const std::string digest = bind("good_v2", /*self_check=*/false).digest;
  const std::filesystem::path file = folder_.path() / "self_checks" / (digest.substr(digest.find(':') + 1) + ".json");
  test::write_file(file, "{");
  EXPECT_EQ(bind("good_v2").state, LayerState::fallback);
  EXPECT_NE(test::read_file(file).find("differ from the layer's own"), std::string::npos);
}

TEST_F(SelfCheckTest, IsPartOfAPlanToo) {
  Policy policy;
  const BindReport planned = plan_kernels(layer_, {.kernel_config = fixture_config("good_v2"), .policy = policy});
  EXPECT_EQ(planned.layers.at(0).state, LayerState::fallback);
  EXPECT_EQ(planned.layers.at(0).reason, bind("good_v2").reason);
}

TEST_F(SelfCheckTest, IsAnErrorWithoutAFallback) {
  Policy policy;
  EXPECT_THROW(kernelize(layer_, {.kernel_config = fixture_config("good_v2"), .use_fallback = false, .policy = policy}), Error);
}

}  // namespace
}  // namespace graft
