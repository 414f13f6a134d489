#include "sigstore/encoding.h"

#include <gtest/gtest.h>

#include "graft/error.h"
#include "sigstore/rekor.h"

namespace graft::sigstore {
namespace {

std::string decoded(std::string_view base64) {
  auto bytes = decode_base64(base64);
  return bytes ? std::string(text(*bytes)) : "none";
}

TEST(Base64, ReadsBothAlphabetsWithOrWithoutPadding) {
  EXPECT_EQ(decoded(""), "");
  EXPECT_EQ(decoded("YQ=="), "a");
  EXPECT_EQ(decoded("YQ"), "a");
  EXPECT_EQ(decoded("YWI="), "ab");
  EXPECT_EQ(decoded("YWJj"), "abc");
  EXPECT_EQ(decoded("YW\nJj\r\n"), "abc");
  EXPECT_EQ(decoded("-_8="), decoded("+/8="));
}

TEST(Base64, RefusesWhatIsNone) {
  for (const char* wrong :
       {"Y", "YQ=", "YQ===", "YWJj=", "Y Q=", "YQ==YQ==", "YR==", "YWJ=", "****", "=", "Y\xc3\xa4=="})
    EXPECT_EQ(decoded(wrong), "none") << wrong;
}

TEST(Time, IsRfc3339) {
  EXPECT_EQ(decode_time("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(decode_time("2022-12-31T23:59:59.999Z"), 1672531199999);
  EXPECT_EQ(decode_time("2022-12-31T23:59:59.999000Z"), 1672531199999);
  EXPECT_EQ(decode_time("2025-06-15T17:06:40+02:00"), 1750000000000);
  EXPECT_EQ(time_text(1750000000), "2025-06-15T15:06:40Z");
  for (const char* wrong : {"", "2022-12-31", "2022-12-31T23:59:59", "2022-13-31T23:59:59Z",
                            "2022-02-30T00:00:00Z", "2022-12-31T24:00:00Z", "2022-12-31T23:59:59.Z",
                            "2022-12-31T23:59:59Zx", "2022-12-31 23:59:59Z", "+022-12-31T23:59:59Z"})
    EXPECT_FALSE(decode_time(wrong)) << wrong;
}

TEST(Decimal, HasOneFormPerNumber) {
  EXPECT_EQ(decode_decimal("0"), 0);
  EXPECT_EQ(decode_decimal("9223372036854775807"), INT64_MAX);
  for (const char* wrong :
       {"", "-1", "+1", "01", "1.0", "1e3", " 1", "9223372036854775808", "99999999999999999999"})
    EXPECT_FALSE(decode_decimal(wrong)) << wrong;
}

Bytes node(unsigned char prefix, ByteView left, ByteView right = {}) {
  Bytes input{prefix};
  input.insert(input.end(), left.begin(), left.end());
  input.insert(input.end(), right.begin(), right.end());
  return digest(Hash::sha256, input);
}

/// RFC 9162, 2.1: the largest power of two below the size goes left.
std::size_t split(std::size_t size) {
  std::size_t left = 1;
  while (left * 2 < size) left *= 2;
  return left;
}

Bytes leaf(std::size_t i) {
  return Bytes{static_cast<unsigned char>(i), 42};
}

Bytes tree(std::size_t from, std::size_t to) {
  if (to - from == 1) return node(0, leaf(from));
  const std::size_t middle = from + split(to - from);
  return node(1, tree(from, middle), tree(middle, to));
}

std::vector<Bytes> path(std::size_t index, std::size_t from, std::size_t to) {
  if (to - from == 1) return {};
  const std::size_t middle = from + split(to - from);
  std::vector<Bytes> hashes = index < middle ? path(index, from, middle) : path(index, middle, to);
  hashes.push_back(index < middle ? tree(middle, to) : tree(from, middle));
  return hashes;
}

TEST(InclusionProof, HoldsForEveryEntryOfEveryTreeAndForNoOther) {
  for (std::size_t size = 1; size <= 33; ++size) {
    for (std::size_t index = 0; index < size; ++index) {
      InclusionProof proof;
      proof.log_index = static_cast<std::int64_t>(index);
      proof.tree_size = static_cast<std::int64_t>(size);
      proof.root_hash = tree(0, size);
      proof.hashes = path(index, 0, size);
      EXPECT_NO_THROW(verify_inclusion(proof, leaf(index))) << index << " of " << size;
      EXPECT_THROW(verify_inclusion(proof, leaf(index + 1)), Error);
      if (size == 1) continue;
      proof.log_index = static_cast<std::int64_t>((index + 1) % size);
      EXPECT_THROW(verify_inclusion(proof, leaf(index)), Error) << index << " of " << size;
    }
  }
}

TEST(InclusionProof, BoundsItsNumbers) {
  InclusionProof proof;
  proof.root_hash = Bytes(32);
  EXPECT_THROW(verify_inclusion(proof, {}), Error);  // an empty tree holds nothing
  proof.tree_size = INT64_MAX;
  proof.log_index = INT64_MAX - 1;
  EXPECT_THROW(verify_inclusion(proof, {}), Error);
}

}  // namespace
}  // namespace graft::sigstore
