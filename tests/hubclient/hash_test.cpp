#include "graft/hash.h"

#include <gtest/gtest.h>

#include "fixtures.h"
#include "graft/error.h"

namespace graft {
namespace {

std::string hex_of(std::string_view algorithm, std::string_view text) {
  Hasher hasher(algorithm);
  hasher.update(text);
  return to_hex(hasher.finish());
}

TEST(Hasher, GivesThePublishedHashesOfAbc) {  // FIPS 180-4's examples
  EXPECT_EQ(hex_of("sha1", "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex_of("sha256", "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_of("sha512", "abc").substr(0, 32), "ddaf35a193617abacc417349ae204131");
}

TEST(Hasher, IsTheSameInPieces) {
  Hasher hasher("sha256");
  for (char c : std::string("abc")) hasher.update(&c, 1);
  EXPECT_EQ(to_hex(hasher.finish()), hex_of("sha256", "abc"));
}

TEST(Hasher, RefusesAnotherAlgorithm) {
  try {
    Hasher hasher("md5");
    FAIL() << "md5 was taken";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
  }
}

TEST(Base64, PadsAsRfc4648) {
  EXPECT_EQ(to_base64({}), "");
  EXPECT_EQ(to_base64({'f'}), "Zg==");
  EXPECT_EQ(to_base64({'f', 'o'}), "Zm8=");
  EXPECT_EQ(to_base64({'f', 'o', 'o'}), "Zm9v");
}

TEST(HashFile, HashesTheBytesOfAFile) {
  test::TempFolder folder;
  test::write_file(folder.path() / "a", "abc");
  EXPECT_EQ(to_hex(hash_file(folder.path() / "a", "sha256")), hex_of("sha256", "abc"));
}

TEST(HashFile, RefusesAFolderAndAMissingFile) {
  test::TempFolder folder;
  EXPECT_THROW(hash_file(folder.path(), "sha256"), Error);
  EXPECT_THROW(hash_file(folder.path() / "missing", "sha256"), Error);
}

}  // namespace
}  // namespace graft
