#include "graft/version.h"

#include <gtest/gtest.h>

#include "graft/error.h"

namespace graft {
namespace {

Version version(const char* text) {
  auto parsed = Version::parse(text);
  EXPECT_TRUE(parsed) << text;
  return parsed.value_or(Version());
}

bool contains(const char* range, const char* text) {
  return VersionRange::parse(range).contains(version(text));
}

TEST(Version, OrdersAsPep440) {
  // PEP 440's own example of an ordered list, and Semantic Versioning's spellings.
  const char* ordered[] = {"1.dev0",        "1.0.dev456",   "1.0a1", "1.0a2.dev456",         "1.0a12.dev456",
                           "1.0a12",        "1.0b1.dev456", "1.0b2", "1.0b2.post345.dev456", "1.0b2.post345",
                           "1.0rc1.dev456", "1.0rc1",       "1.0",   "1.0.post456.dev34",    "1.0.post456",
                           "1.1.dev1"};
  for (std::size_t i = 0; i + 1 < std::size(ordered); ++i)
    EXPECT_LT(version(ordered[i]), version(ordered[i + 1])) << ordered[i] << " " << ordered[i + 1];
}

TEST(Version, TakesOtherSpellingsAsEqual) {
  EXPECT_EQ(version("v1.2"), version("1.2.0"));
  EXPECT_EQ(version("1.0-rc.1"), version("1.0rc1"));
  EXPECT_EQ(version("1.0.0-ALPHA"), version("1.0a0"));
  EXPECT_EQ(version("1.0+build.5"), version("1.0"));
  EXPECT_LT(version("1.9"), version("1.10"));
}

TEST(Version, KnowsPreReleases) {
  EXPECT_TRUE(version("2.0rc1").is_prerelease());
  EXPECT_TRUE(version("2.0.post1.dev2").is_prerelease());
  EXPECT_FALSE(version("2.0.post1").is_prerelease());
}

TEST(Version, RefusesWhatIsNone) {
  for (const char* text :
       {"", "main", "v", "1..2", "1.", ".1", "1.0x", "release-1", "1.0+", "99999999999999999999", "1,2",
        "1.0 ", "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17"})
    EXPECT_FALSE(Version::parse(text)) << text;
}

TEST(VersionRange, HoldsByEachOperator) {
  EXPECT_TRUE(contains(">=2.0,<3.0", "2.5"));
  EXPECT_FALSE(contains(">=2.0,<3.0", "3.0"));
  EXPECT_FALSE(contains(">=2.0,<3.0", "1.9.9"));
  EXPECT_TRUE(contains(" >= 2.0 , < 3.0 ", "2.0"));
  EXPECT_TRUE(contains("~=1.4.5", "1.4.9"));
  EXPECT_FALSE(contains("~=1.4.5", "1.5"));
  EXPECT_TRUE(contains("~=1.4", "1.9"));
  EXPECT_TRUE(contains("==2.*", "2.7.1"));
  EXPECT_FALSE(contains("==2.*", "3.0"));
  EXPECT_FALSE(contains("!=2.*", "2.1"));
  EXPECT_TRUE(contains("==2.0", "2"));
  EXPECT_FALSE(contains("!=2.0", "2.0.0"));
  EXPECT_TRUE(contains("<=2.0", "2.0"));
  EXPECT_FALSE(contains(">2.0", "2.0"));
}

TEST(VersionRange, ReadsCaretAsCargo) {
  EXPECT_TRUE(contains("^1.2", "1.9"));
  EXPECT_FALSE(contains("^1.2", "2.0"));
  EXPECT_FALSE(contains("^1.2", "1.1"));
  EXPECT_TRUE(contains("^0.2", "0.2.9"));
  EXPECT_FALSE(contains("^0.2", "0.3"));
  EXPECT_TRUE(contains("^0.0.3", "0.0.3"));
  EXPECT_FALSE(contains("^0.0.3", "0.0.4"));
  EXPECT_TRUE(contains("^0", "0.9"));
}

TEST(VersionRange, KeepsPreReleasesOutUnlessItNamesOne) {
  EXPECT_FALSE(contains(">=1.0", "2.0rc1"));
  EXPECT_TRUE(contains(">=2.0rc1", "2.0rc2"));
  EXPECT_FALSE(contains(">=1.0rc1,<2.0", "2.0rc1"));  // a pre-release of the bound itself
  EXPECT_FALSE(contains("!=2.0rc1", "2.0rc2"));
  EXPECT_FALSE(contains(">1.7", "1.7.post1"));
  EXPECT_TRUE(contains(">1.7rc1", "1.7.post1"));  // of 1.7, not of 1.7rc1
  EXPECT_FALSE(contains(">1.7rc1", "1.7rc1.post1"));
  EXPECT_TRUE(contains(">1.7.post1", "1.7.post2"));
}

TEST(VersionRange, ShowsWhereItIsMalformed) {
  struct {
    const char* text;
    std::size_t caret;
  } cases[] = {{">=", 2},    {">=2,", 4}, {"=2", 0},      {">=2,<x", 5}, {"~=1", 2},
               {">=2.*", 4}, {"2.0", 0},  {"==1a1.*", 2}, {",", 0}};
  for (const auto& bad : cases) {
    try {
      VersionRange::parse(bad.text);
      ADD_FAILURE() << bad.text << " was taken";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
      EXPECT_NE(e.why().find("\n  " + std::string(bad.caret, ' ') + "^"), std::string::npos) << e.what();
    }
  }
}

TEST(HighestVersion, LooksAtVersionsNotAtTexts) {
  std::vector<std::string> names = {"v1.9.0", "main", "v1.10.0", "v2.0.0rc1", "latest"};
  EXPECT_EQ(highest_version(names, nullptr), 2u);
  VersionRange old = VersionRange::parse("<1.10");
  EXPECT_EQ(highest_version(names, &old), 0u);
  VersionRange none = VersionRange::parse(">3");
  EXPECT_FALSE(highest_version(names, &none));
}

TEST(HighestVersion, TakesAPreReleaseIfThereIsNothingElse) {
  EXPECT_EQ(highest_version({"v1.0a1", "v1.0rc1"}, nullptr), 1u);
  EXPECT_FALSE(highest_version({"main"}, nullptr));
}

}  // namespace
}  // namespace graft
