// graft policy, sign, verify, trust and doctor, from a publisher's key to a kernel that is let in by it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fixtures.h"
#include "run_graft.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Result;
using test::run_graft;

class TrustCommands : public testing::Test {
 protected:
  TrustCommands() {
    test::write_file(source() / "build" / test::host_variant() / "k.so", test::read_file(test::fixture("good")));
  }
  fs::path source() const { return folder_.path() / "repo"; }
  std::string key(const std::string& name) const { return (folder_.path() / name).string(); }
  void write_policy(const json& policy) { test::write_file(folder_.path() / "graft/policy.json", policy.dump()); }
  /// A policy by which "me" signs with this key.
  json policy_for(const std::string& public_key) {
    return {{"version", 1},
            {"keys", {{"mine", {{"public_key", public_key}}}}},
            {"trusted_publishers", {{"me", {{"signers", {{{"key", "mine"}}}}}}}}};
  }
  std::string pack(const std::string& more) {
    return "pack " + source().string() + " --hub " + hub().string() + " --repo me/norm --tag v1.0.0 --move-tag " + more;
  }
  fs::path hub() const { return folder_.path() / "hub"; }

  test::TempFolder folder_;
  test::ScopedEnv config_{"XDG_CONFIG_HOME", folder_.path().c_str()};
  test::ScopedEnv state_{"GRAFT_STATE_DIR", (folder_.path() / "state").c_str()};
  test::ScopedEnv embedded_{"GRAFT_HUB", folder_.path().c_str()};
  test::ScopedEnv endpoint_{"HF_ENDPOINT", ("file://" + hub().string()).c_str()};
};

TEST_F(TrustCommands, LetAKernelInByItsPublishersKeyAlone) {
  Result made = run_graft("sign --new-key " + key("key.pem") + " --json");
  ASSERT_EQ(made.exit, 0) << made.out;
  write_policy(policy_for(json::parse(made.out)["public_key"]));

  ASSERT_EQ(run_graft(pack("")).exit, 0);
  json refused = json::parse(run_graft("verify me/norm --json").out);
  EXPECT_EQ(refused["verdict"], "refused");
  EXPECT_EQ(refused["rule"], "signers");
  EXPECT_EQ(run_graft("verify me/norm").exit, 1);
  EXPECT_EQ(run_graft("info me/norm").exit, 1);

  ASSERT_EQ(run_graft(pack("--key " + key("key.pem"))).exit, 0);
  json accepted = json::parse(run_graft("verify me/norm --json").out);
  EXPECT_EQ(accepted["verdict"], "accepted") << accepted;
  EXPECT_EQ(accepted["signer"].get<std::string>().substr(0, 9), "key mine ");
  EXPECT_EQ(run_graft("info me/norm").exit, 0);
}

TEST_F(TrustCommands, SignAVariantThatHasDigests) {
  run_graft("sign --new-key " + key("key.pem"));
  EXPECT_EQ(run_graft("sign --new-key " + key("key.pem")).exit, 1);  // never over a key that is there
  EXPECT_EQ(run_graft("sign " + source().string() + " --key " + key("key.pem")).exit, 1);  // not packed
  EXPECT_EQ(run_graft("sign").exit, 2);
  ASSERT_EQ(run_graft(pack("")).exit, 0);
  fs::path commit = fs::directory_iterator(hub() / "kernels/me/norm/commits")->path();
  Result signed_variants = run_graft("sign " + commit.string() + " --key " + key("key.pem") + " --json");
  EXPECT_EQ(json::parse(signed_variants.out)["variants"].size(), 1u);
  EXPECT_TRUE(fs::exists(commit / "build" / test::host_variant() / "metadata.json.dsse"));
}

TEST_F(TrustCommands, ShowAndCheckThePolicy) {
  write_policy({{"version", 1}, {"require_signature", "always"}});
  Result shown = run_graft("policy show --json");
  EXPECT_EQ(json::parse(shown.out)["require_signature"], "always");
  EXPECT_EQ(run_graft("policy check").exit, 0);
  test::write_file(folder_.path() / "broken.json", R"({"version": 1, "require_signature": "perhaps"})");
  Result broken = run_graft("policy check " + (folder_.path() / "broken.json").string());
  EXPECT_EQ(broken.exit, 1);
  EXPECT_NE(broken.out.find("require_signature"), std::string::npos);
}

TEST_F(TrustCommands, StopEverythingAtAPolicyThatDoesNotParse) {
  ASSERT_EQ(run_graft(pack("")).exit, 0);
  test::write_file(folder_.path() / "graft/policy.json", "{");
  EXPECT_EQ(run_graft("verify me/norm --allow-all-kernels").exit, 1);
  EXPECT_EQ(run_graft("info " + test::fixture("good").string()).exit, 1);
  Result doctor = run_graft("doctor");
  EXPECT_EQ(doctor.exit, 1);
  EXPECT_NE(doctor.out.find("✗ policy"), std::string::npos) << doctor.out;
}

TEST_F(TrustCommands, ShowAndReplaceTheTrustedRoot) {
  json root = json::parse(run_graft("trust root --json").out);
  EXPECT_GT(root["services"].size(), 4u);
  test::write_file(folder_.path() / "wrong.json", "{}");
  EXPECT_EQ(run_graft("trust root " + (folder_.path() / "wrong.json").string()).exit, 1);
  EXPECT_FALSE(fs::exists(folder_.path() / "graft/trusted_root.json"));
  std::string own = GRAFT_SOURCE_DIR "/core/trust/sigstore/trusted_root.json";
  EXPECT_EQ(run_graft("trust root " + own).exit, 0);
  EXPECT_EQ(test::read_file(folder_.path() / "graft/trusted_root.json"), test::read_file(own));
  EXPECT_NE(run_graft("doctor").out.find("days left"), std::string::npos);
}

TEST_F(TrustCommands, AcceptAnOlderVersion) {
  write_policy({{"version", 1}, {"trusted_publishers", {{"me", json::object()}}}});
  ASSERT_EQ(run_graft(pack("")).exit, 0);
  ASSERT_EQ(run_graft("info me/norm").exit, 0);
  test::write_file(source() / "build" / test::host_variant() / "k.so", test::read_file(test::fixture("good_v2")));
  ASSERT_EQ(run_graft(pack("")).exit, 0);  // the same tag, other bytes
  Result refused = run_graft("info me/norm");
  EXPECT_EQ(refused.exit, 1);
  EXPECT_NE(refused.out.find("graft trust accept me/norm"), std::string::npos) << refused.out;
  EXPECT_EQ(run_graft("trust accept me/norm").exit, 0);
  EXPECT_EQ(run_graft("info me/norm").exit, 0);
}

}  // namespace
}  // namespace graft
