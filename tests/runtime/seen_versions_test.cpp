// Memory against rollback.
#include "seen_versions.h"

#include <gtest/gtest.h>

#include "fixtures.h"
#include "graft/error.h"
#include "graft/runtime.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using test::fixture;

const std::string kA(40, 'a'), kB(40, 'b');

class SeenVersionsTest : public testing::Test {
 protected:
  SeenVersion version(const std::string& asked, const std::string& revision, const std::string& commit = kA) const {
    return {"https://hub", "us/norm", asked, revision, commit};
  }
  std::string refusal(const SeenVersion& version) const {
    TrustDecision decision;
    try {
      seen_.check(version, decision);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::untrusted);
      EXPECT_EQ(decision.rule, "remember_versions");
      return e.mend();
    }
    return "";
  }
  test::TempFolder folder_;
  SeenVersions seen_{folder_.path()};
};

TEST_F(SeenVersionsTest, RefusesALowerVersionUnderTheSameRange) {
  EXPECT_EQ(refusal(version(">=1.0,<2.0", "v1.1.0")), "");
  seen_.remember(version(">=1.0,<2.0", "v1.2.0"));
  EXPECT_EQ(refusal(version(">=1.0,<2.0", "v1.1.0", kB)), "if this is meant, accept it: graft trust accept us/norm@>=1.0,<2.0");
  EXPECT_EQ(refusal(version(">=1.0,<2.0", "v1.2.0")), "");
  EXPECT_EQ(refusal(version(">=1.0,<2.0", "v1.10.0", kB)), "");
  EXPECT_EQ(refusal(version("", "v1.1.0", kB)), "");       // another question
  EXPECT_EQ(refusal(version("v1.1.0", "v1.1.0", kB)), "");  // named itself
}

TEST_F(SeenVersionsTest, RefusesOtherBytesUnderTheSameTag) {
  seen_.remember(version("", "v1.2.0"));
  EXPECT_EQ(refusal(version("", "v1.2.0", kB)), "if this is meant, accept it: graft trust accept us/norm");
  EXPECT_EQ(refusal(version("v1.2.0", "v1.2.0", kB)), "if this is meant, accept it: graft trust accept us/norm@v1.2.0");
}

TEST_F(SeenVersionsTest, LetsBranchesMove) {
  seen_.remember(version("main", "main"));
  seen_.remember(version("v1", "v1"));
  EXPECT_EQ(refusal(version("main", "main", kB)), "");
  EXPECT_EQ(refusal(version("v1", "v1", kB)), "");
}

TEST_F(SeenVersionsTest, RefusesTheBranchWhereAVersionWasBefore) {
  seen_.remember(version("", "v1.2.0"));
  EXPECT_NE(refusal(version("", "main", kB)), "");
}

TEST_F(SeenVersionsTest, TakesWhatIsAccepted) {
  seen_.remember(version("", "v1.2.0"));
  seen_.remember(version("", "v1.1.0", kB));
  EXPECT_EQ(refusal(version("", "v1.1.0", kB)), "");
  EXPECT_NE(refusal(version("", "v1.0.0", kB)), "");
}

TEST_F(SeenVersionsTest, KeepsHubsAndReposApart) {
  seen_.remember(version("", "v1.2.0"));
  SeenVersion elsewhere = version("", "v1.0.0", kB);
  elsewhere.endpoint = "https://other";
  EXPECT_EQ(refusal(elsewhere), "");
  elsewhere = version("", "v1.0.0", kB);
  elsewhere.repo = "us/mlp";
  EXPECT_EQ(refusal(elsewhere), "");
}

TEST_F(SeenVersionsTest, RefusesAMemoryThatIsBroken) {
  seen_.remember(version("", "v1.2.0"));
  fs::path file = fs::directory_iterator(folder_.path() / "seen")->path();
  for (const char* text : {"", "{", "[]", R"({"highest": [], "tags": {}})", R"({"highest": {"": 1}, "tags": {}})"}) {
    test::write_file(file, text);
    TrustDecision decision;
    EXPECT_THROW(seen_.check(version("", "v1.0.0"), decision), Error) << text;
  }
  seen_.remember(version("", "v1.0.0"));  // accepted
  EXPECT_EQ(refusal(version("", "v1.0.0")), "");
}

TEST_F(SeenVersionsTest, StopsTheRuntimeUntilItIsAccepted) {
  test::TempFolder empty;
  test::ScopedEnv no_embedded("GRAFT_HUB", empty.path().c_str()), state("GRAFT_STATE_DIR", folder_.path().c_str());
  test::TestHub hub;
  hub.add("kernels-community/norm", "v1.0.0", fixture("good"));
  hub.add("kernels-community/norm", "v1.1.0", fixture("good_v2"));
  auto load = [&] { return Runtime({.endpoint = hub.endpoint()}).load(KernelRef::parse("kernels-community/norm:TestRMSNorm")); };
  EXPECT_EQ(load().revision, "v1.1.0");
  fs::remove(hub.path() / "kernels/kernels-community/norm/refs/tags/v1.1.0");  // as an attacker who hides the mend
  EXPECT_THROW(load(), Error);
  EXPECT_EQ(Runtime({.endpoint = hub.endpoint()}).accept(KernelRef::parse("kernels-community/norm")), "v1.0.0");
  EXPECT_EQ(load().revision, "v1.0.0");
}

TEST_F(SeenVersionsTest, IsOffWhereThePolicySaysSo) {
  test::TempFolder empty;
  test::ScopedEnv no_embedded("GRAFT_HUB", empty.path().c_str()), state("GRAFT_STATE_DIR", folder_.path().c_str());
  test::TestHub hub;
  hub.add("kernels-community/norm", "v1.0.0", fixture("good"));
  Policy policy;
  policy.remember_versions = false;
  Runtime({.endpoint = hub.endpoint(), .policy = policy}).load(KernelRef::parse("kernels-community/norm:TestRMSNorm"));
  EXPECT_FALSE(fs::exists(folder_.path() / "seen"));
}

}  // namespace
}  // namespace graft
