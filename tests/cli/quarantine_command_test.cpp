// `graft quarantine` as a person or script meets it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fixtures.h"
#include "graft/quarantine.h"
#include "run_graft.h"

namespace graft {
namespace {

using nlohmann::json;

test::Result quarantine_command(const std::string& arguments) {
  return test::run_graft("quarantine " + arguments);
}

class QuarantineCommand : public testing::Test {
 protected:
  const std::string digest_ = "sha256:" + std::string(60, 'b') + "0123";

 private:
  test::TempFolder folder_;
  test::ScopedEnv state_{"GRAFT_STATE_DIR", folder_.path().c_str()};
};

TEST_F(QuarantineCommand, AddsListsAndLifts) {
  EXPECT_EQ(quarantine_command("").out, "nothing is in quarantine\n");
  EXPECT_EQ(quarantine_command("list --json").out, "[]\n");
  EXPECT_EQ(quarantine_command("add " + digest_ + " --reason 'wrong \033[31m results'").exit, 0);
  EXPECT_TRUE(find_quarantined(digest_));

  test::Result text = quarantine_command("");
  EXPECT_NE(text.out.find(digest_), std::string::npos);
  EXPECT_NE(text.out.find("wrong ?[31m results"), std::string::npos) << text.out;
  json listed = json::parse(quarantine_command("--json").out);
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0]["digest"], digest_);
  EXPECT_EQ(listed[0]["reason"], "wrong \033[31m results");

  test::Result lifted = quarantine_command("lift " + digest_.substr(0, 19) + " --json");
  EXPECT_EQ(lifted.exit, 0);
  EXPECT_EQ(json::parse(lifted.out)["lifted"], digest_);
  EXPECT_FALSE(find_quarantined(digest_));
}

TEST_F(QuarantineCommand, EndsWithOneAndTwoOnErrors) {
  EXPECT_EQ(quarantine_command("lift " + digest_).exit, 1);
  EXPECT_NE(quarantine_command("lift " + digest_).out.find("it is not quarantined"), std::string::npos);
  EXPECT_EQ(quarantine_command("lift nonsense").exit, 2);
  EXPECT_EQ(quarantine_command("add " + digest_).exit, 2);
  EXPECT_EQ(quarantine_command("lift").exit, 2);
  EXPECT_EQ(quarantine_command("bake").exit, 2);
}

TEST_F(QuarantineCommand, ExplainsItselfWithExamples) {
  for (const char* words : {"--help", "list --help", "lift --help", "add --help"}) {
    test::Result help = quarantine_command(words);
    EXPECT_EQ(help.exit, 0) << words;
    EXPECT_NE(help.out.find("Example:"), std::string::npos) << words;
  }
}

}  // namespace
}  // namespace graft
