#include "graft/metadata.h"

#include <gtest/gtest.h>

#include "graft/error.h"

namespace graft {
namespace {

constexpr const char* kGood =
    R"({"id": "org/norm", "name": "norm", "version": 1, "license": "MIT", "python-depends": [],
        "backend": {"type": "cpu"}, "digest": {"algorithm": "sha256", "files": {"norm.so": "YWJj", "sub/data": "eA=="}}})";

std::string why(std::string_view text) {
  try {
    parse_metadata(text);
  } catch (const Error& e) {
    return std::string(name(e.code())) + ": " + e.why();
  }
  return "nothing was thrown";
}

TEST(Metadata, ReadsNameAndDigest) {
  Metadata metadata = parse_metadata(kGood);
  EXPECT_EQ(metadata.name, "norm");
  EXPECT_EQ(metadata.algorithm, "sha256");
  EXPECT_EQ(metadata.files, (std::map<std::string, std::string>{{"norm.so", "YWJj"}, {"sub/data", "eA=="}}));
}

TEST(Metadata, MayHaveNoDigest) {
  EXPECT_EQ(parse_metadata(R"({"name": "norm"})").algorithm, "");
  EXPECT_EQ(parse_metadata(R"({"digest": null})").algorithm, "");
}

TEST(Metadata, RefusesAKeyThatComesTwice) {
  EXPECT_EQ(why(R"({"name": "a", "name": "b"})"), "corrupt: duplicate key \"name\"");
  EXPECT_EQ(why(R"({"digest": {"algorithm": "sha256", "files": {"a": "x", "a": "y"}}})"),
            "corrupt: duplicate key \"a\"");
}

TEST(Metadata, TakesTheSameKeyInDifferentObjects) {
  EXPECT_EQ(parse_metadata(R"({"name": "a", "x": {"name": "b"}, "y": [{"name": "c"}, {"name": "d"}]})").name,
            "a");
}

TEST(Metadata, BoundsItsSizeAndDepth) {
  EXPECT_NE(why(std::string(kMaxMetadataBytes + 1, ' ')).find("larger"), std::string::npos);
  std::string deep = "{\"a\": " + std::string(1000, '[') + std::string(1000, ']') + "}";
  EXPECT_NE(why(deep).find("nested deeper"), std::string::npos);
}

TEST(Metadata, RefusesWhatIsNoJsonInUtf8) {
  for (std::string text : {"", "{", "null", "[]", "{\"name\": \"\xff\"}", "{} {}", "\xef\xbb\xbf"})
    EXPECT_EQ(why(text).substr(0, 7), "corrupt") << text;
}

TEST(Metadata, RefusesFieldsOfAnotherType) {
  for (std::string text :
       {R"({"name": 1})", R"({"digest": []})", R"({"digest": {}})", R"({"digest": {"algorithm": "sha256"}})",
        R"({"digest": {"algorithm": 1, "files": {}}})",
        R"({"digest": {"algorithm": "sha256", "files": {"a": 1}}})"})
    EXPECT_EQ(why(text).substr(0, 7), "corrupt") << text;
}

TEST(Metadata, RefusesPathsThatLeaveTheVariant) {
  for (std::string path : {"../a", "/a", "a/../b", "", "a\\\\b", "a\\u0000b"})
    EXPECT_EQ(why(R"({"digest": {"algorithm": "sha256", "files": {")" + path + R"(": "x"}}})").substr(0, 7),
              "corrupt")
        << path;
}

TEST(Metadata, NamesAnUnknownAlgorithm) {
  EXPECT_NE(why(R"({"digest": {"algorithm": "md5", "files": {}}})")
                .find("unsupported: its digest algorithm \"md5\""),
            std::string::npos);
}

}  // namespace
}  // namespace graft
