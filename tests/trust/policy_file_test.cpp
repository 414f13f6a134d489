// The policy's file: what it may say, and that nothing in it is passed over.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fixtures.h"
#include "graft/error.h"
#include "graft/policy.h"
#include "graft/trust.h"
#include "keys/ed25519.h"

namespace graft {
namespace {

/// A PEM key as JSON text.
std::string key_text() {
  static const std::string pem = ed25519::public_key_of(ed25519::make_private_key());
  std::string text;
  for (char c : pem) text += c == '\n' ? std::string("\\n") : std::string(1, c);
  return text;
}

std::string refusal(const std::string& json) {
  try {
    Policy::parse(json, "policy.json", {});
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::corrupt) << e.what();
    EXPECT_EQ(e.failed().substr(0, 11), "policy.json");
    return e.why();
  }
  return "";
}

TEST(PolicyFile, SaysWhoIsTrustedAndWhoSigns) {
  Policy policy = Policy::parse(
      R"({"version": 1, "keys": {"ours": {"public_key": ")" + key_text() +
          R"(", "not_before": "2026-01-01", "not_after": "2027-01-01"}},
         "trusted_publishers": {"us": {"signers": [{"key": "ours"}, {"issuer": "https://i", "subject_pattern": "https://github.com/us/*"}]},
                                "kernels-community": null},
         "require_signature": "trusted-only", "deny": {"repos": ["us/bad"]}, "local_kernels": false})",
      "policy.json", {});
  EXPECT_EQ(policy.trusted_publishers.at("us").signers.size(), 2u);
  EXPECT_EQ(policy.trusted_publishers.at("us").signers[1].subject_pattern, "https://github.com/us/*");
  EXPECT_FALSE(policy.trusted_publishers.contains("kernels-community"));
  EXPECT_TRUE(policy.trusted_publishers.contains("graft-kernels"));  // of the defaults
  EXPECT_EQ(policy.require_signature, RequireSignature::trusted_only);
  EXPECT_FALSE(policy.local_kernels);
  EXPECT_TRUE(policy.probe);
}

TEST(PolicyFile, IsWhatItPrints) {
  Policy policy = Policy::parse(R"({"version": 1, "trusted_publishers": {"us": {}, "kernels-community": null}, "deny": {"commits": ["abc"]}})",
                                "a", {});
  Policy again = Policy::parse(policy.json(), "b", {});
  EXPECT_EQ(again.json(), policy.json());
}

TEST(PolicyFile, AddsToDenyListsAndReplacesTheRest) {
  Policy system = Policy::parse(R"({"version": 1, "deny": {"repos": ["a/b"]}, "probe": false, "allow_all_kernels": true})", "s", {});
  Policy user = Policy::parse(R"({"version": 1, "deny": {"repos": ["c/*"]}, "probe": true})", "u", system);
  EXPECT_EQ(user.denied_repos, (std::set<std::string>{"a/b", "c/*"}));
  EXPECT_TRUE(user.probe);
  EXPECT_TRUE(user.allow_all_kernels);
  EXPECT_EQ(user.sources, (std::vector<std::string>{"s", "u"}));
}

TEST(PolicyFile, RefusesWhatItDoesNotKnow) {
  EXPECT_NE(refusal(R"({"version": 1, "trusted_publisher": {}})").find("is no field of a policy"), std::string::npos);
  EXPECT_NE(refusal(R"({"version": 1, "trusted_publishers": {"us": {"signer": []}}})"), "");
  EXPECT_NE(refusal(R"({"version": 2})"), "");
  EXPECT_NE(refusal("{}"), "");
}

TEST(PolicyFile, RefusesWhatIsNoPolicy) {
  for (std::string text :
       {"", "[]", "{", R"({"version": 1, "version": 1})", R"({"version": 1, "require_signature": "maybe"})",
        R"({"version": 1, "probe": "on"})", R"({"version": 1, "deny": ["a/b"]})", R"({"version": 1, "deny": {"repos": [1]}})",
        R"({"version": 1, "trusted_publishers": {"us": {"signers": [{}]}}})",
        R"({"version": 1, "trusted_publishers": {"us": {"signers": [{"key": "nobody"}]}}})",
        R"({"version": 1, "trusted_publishers": {"us": {"signers": [{"issuer": "https://i"}]}}})",
        R"({"version": 1, "trusted_publishers": {"us": {"signers": [{"issuer": "i", "subject": "s", "subject_pattern": "p"}]}}})",
        R"({"version": 1, "keys": {"k": {"public_key": "none"}}})"})
    EXPECT_NE(refusal(text), "") << text;
  EXPECT_NE(refusal(R"({"version": 1, "keys": {"k": {"public_key": ")" + key_text() + R"(", "not_after": "soon"}}})"), "");
  EXPECT_NE(refusal(R"({"version": 1, "keys": {"k": {"public_key": ")" + key_text() +
                    R"(", "not_before": "2027-01-01", "not_after": "2026-01-01"}}})"),
            "");
}

TEST(PolicyFile, SaysWhatItsSchemaSays) {
  auto schema = nlohmann::json::parse(test::read_file(GRAFT_SOURCE_DIR "/core/trust/policy.schema.json"));
  auto fields = nlohmann::json::parse(Policy().json());
  for (const auto& [name, value] : fields.items()) EXPECT_TRUE(schema["properties"].contains(name)) << name;
  for (const auto& [name, value] : schema["properties"].items())
    EXPECT_TRUE(name == "$schema" || fields.contains(name)) << name;
}

class PolicyLoadTest : public testing::Test {
 protected:
  std::filesystem::path file() const { return folder_.path() / "graft/policy.json"; }
  test::TempFolder folder_;
  test::ScopedEnv config_{"XDG_CONFIG_HOME", folder_.path().c_str()};
};

TEST_F(PolicyLoadTest, TakesTheUsersFile) {
  EXPECT_FALSE(Policy::load().trusted_publishers.contains("us"));
  test::write_file(file(), R"({"version": 1, "trusted_publishers": {"us": {}}})");
  EXPECT_TRUE(Policy::load().trusted_publishers.contains("us"));
  EXPECT_EQ(Policy::load().sources.back(), file().string());
}

TEST_F(PolicyLoadTest, StopsAtAFileThatDoesNotParseInsteadOfTheDefaults) {
  test::write_file(file(), "{");
  EXPECT_THROW(Policy::load(), Error);
  std::filesystem::remove(file());
  std::filesystem::create_directory(file());
  EXPECT_THROW(Policy::load(), Error);
}

TEST(Policy, DeniesReposCommitsAndAllOfAPublisher) {
  Policy policy;
  policy.denied_repos = {"graft-kernels/norm", "kernels-community/*"};
  policy.denied_commits = {std::string(40, 'a')};
  for (const char* repo : {"graft-kernels/norm", "kernels-community/anything"}) {
    TrustDecision decision = decide_publisher(policy, repo, true);
    EXPECT_FALSE(decision.accepted);
    EXPECT_EQ(decision.rule, "deny");
  }
  TrustDecision decision = decide_publisher(policy, "graft-kernels/mlp", false);
  EXPECT_TRUE(decision.accepted);
  EXPECT_THROW(check_commit(policy, "graft-kernels/mlp", std::string(40, 'a'), decision), Error);
  EXPECT_EQ(decision.rule, "deny");
  EXPECT_NO_THROW(check_commit(policy, "graft-kernels/mlp", std::string(40, 'b'), decision));
}

TEST(Policy, AdmitsEverybodyIfItSaysSo) {
  Policy policy;
  policy.allow_all_kernels = true;
  EXPECT_EQ(decide_publisher(policy, "random-repo/random", false).state, "allowed");
}

}  // namespace
}  // namespace graft
