// Sigstore bundles beside metadata.json, held against the policy.
#include <gtest/gtest.h>

#include "fixtures.h"
#include "graft/error.h"
#include "graft/pack.h"
#include "little_sigstore.h"
#include "variant_digest.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;

class SigstorePolicyTest : public testing::Test {
 protected:
  SigstorePolicyTest() {
    write_file(folder_.path() / "graft/trusted_root.json", sigstore_.root().dump());
    write_file(folder_.path() / "source/build/v/k.so", "library");
    PackResult packed = pack_repo(
        {.source = folder_.path() / "source", .hub = folder_.path() / "hub", .repo = "us/norm", .tag = "v1.0.0"});
    variant_ = folder_.path() / "hub/kernels/us/norm/commits" / packed.commit / "build/v";
    policy_.trusted_publishers["us"].signers = {{.issuer = kIssuer, .subject = kSubject}};
  }
  void sign(Recipe recipe = {}) {
    recipe.file = read_file(variant_ / "metadata.json");
    write_file(variant_ / "metadata.json.sigstore", sigstore_.bundle(recipe).dump());
  }
  /// "rule: why", or "signed by …"
  std::string outcome() {
    TrustDecision decision = decide_publisher(policy_, "us/norm", false);
    try {
      check_variant(policy_, variant_, decision);
    } catch (const Error& e) {
      return decision.rule + ": " + e.why();
    }
    return "signed by " + decision.signer;
  }

  LittleSigstore sigstore_;
  TempFolder folder_;
  ScopedEnv config_{"XDG_CONFIG_HOME", folder_.path().c_str()};
  Policy policy_;
  fs::path variant_;
};

TEST_F(SigstorePolicyTest, NamesTheIdentityAndTheLogsEntry) {
  sign();
  std::string said = outcome();
  EXPECT_EQ(said.substr(0, 10 + std::string(kSubject).size()), "signed by " + std::string(kSubject));
  EXPECT_NE(said.find(kIssuer), std::string::npos);
  EXPECT_NE(said.find(", log index "), std::string::npos);
}

TEST_F(SigstorePolicyTest, TakesASubjectByPattern) {
  sign();
  policy_.trusted_publishers["us"].signers = {{.issuer = kIssuer, .subject_pattern = "https://github.com/graft/*"}};
  EXPECT_EQ(outcome().substr(0, 9), "signed by");
}

TEST_F(SigstorePolicyTest, RefusesAnotherIdentity) {
  sign();
  policy_.trusted_publishers["us"].signers = {{.issuer = kIssuer, .subject = "https://github.com/graft/other"}};
  EXPECT_EQ(outcome().substr(0, 8), "signers:");
  policy_.trusted_publishers["us"].signers = {{.issuer = "https://another", .subject = kSubject}};
  EXPECT_EQ(outcome().substr(0, 8), "signers:");
}

TEST_F(SigstorePolicyTest, RefusesABundleOfOtherBytes) {
  sign();
  write_file(variant_ / "metadata.json", read_file(variant_ / "metadata.json") + " ");
  EXPECT_EQ(outcome().substr(0, 8), "signers:");
}

TEST_F(SigstorePolicyTest, RefusesABadBundleOfAPublisherForWhomNobodyIsNamedToo) {
  policy_.trusted_publishers["us"].signers.clear();
  sign();
  EXPECT_EQ(outcome(), "signed by ");  // good, and said in the reason
  write_file(variant_ / "metadata.json.sigstore", "{}");
  EXPECT_EQ(outcome().substr(0, 8), "signers:");
  policy_.trusted_publishers.erase("us");
  policy_.allow_all_kernels = true;
  EXPECT_EQ(outcome().substr(0, 8), "signers:");
}

TEST_F(SigstorePolicyTest, VerifiesAgainstTheRootThatIsInForce) {
  sign();
  LittleSigstore another;
  write_file(folder_.path() / "graft/trusted_root.json", another.root().dump());
  EXPECT_EQ(outcome().substr(0, 8), "signers:");
  write_file(folder_.path() / "graft/trusted_root.json", "{");
  EXPECT_EQ(outcome().substr(0, 8), "signers:");
}

}  // namespace
}  // namespace graft::test
