#include "variant_digest.h"

#include <gtest/gtest.h>

#include "fixtures.h"
#include "graft/error.h"
#include "graft/pack.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using test::write_file;

/// A packed variant of a library (its bytes are not looked at here) and a data file.
class VariantDigestTest : public testing::TestWithParam<const char*> {
 protected:
  VariantDigestTest() {
    fs::path build = folder_.path() / "source/build/v";
    write_file(build / "norm.so", "library");
    write_file(build / "sub/data.bin", "data");
    PackResult packed = pack_repo({.source = folder_.path() / "source",
                                   .hub = folder_.path() / "hub",
                                   .repo = "org/norm",
                                   .tag = "v1",
                                   .algorithm = GetParam()});
    variant_ = folder_.path() / "hub/kernels/org/norm/commits" / packed.commit / "build/v";
  }

  std::string refusal() {
    try {
      verify_variant(variant_, read_metadata(variant_));
    } catch (const Error& e) {
      return std::string(name(e.code())) + ": " + e.why();
    }
    return "accepted";
  }

  test::TempFolder folder_;
  fs::path variant_;
};

INSTANTIATE_TEST_SUITE_P(Algorithms, VariantDigestTest, testing::Values("sha256", "sha512"));

TEST_P(VariantDigestTest, AcceptsWhatWasPacked) {
  VerifiedVariant verified = verify_variant(variant_, read_metadata(variant_));
  EXPECT_TRUE(verified.has_digest());
  EXPECT_EQ(verified.library.bytes(), "library");
}

TEST_P(VariantDigestTest, RefusesADifferentFile) {
  write_file(variant_ / "norm.so", "Library");
  EXPECT_EQ(refusal(), "corrupt: " + std::string(GetParam()) + " of norm.so differs from metadata.json");
}

TEST_P(VariantDigestTest, RefusesADifferentFileBesideTheLibrary) {
  write_file(variant_ / "sub/data.bin", "Data");
  EXPECT_EQ(refusal(), "corrupt: " + std::string(GetParam()) + " of sub/data.bin differs from metadata.json");
}

TEST_P(VariantDigestTest, RefusesAMissingFile) {
  fs::remove(variant_ / "sub/data.bin");
  EXPECT_EQ(refusal(), "corrupt: file sub/data.bin is in metadata.json but not here");
}

TEST_P(VariantDigestTest, RefusesAnExtraFile) {
  write_file(variant_ / "sub/extra", "");
  EXPECT_EQ(refusal(), "corrupt: file sub/extra is not in metadata.json");
  fs::remove(variant_ / "sub/extra");
  write_file(variant_ / ".hidden", "");
  EXPECT_EQ(refusal(), "corrupt: file .hidden is not in metadata.json");
}

TEST_P(VariantDigestTest, RefusesALinkToAFolder) {
  fs::create_directory_symlink("/etc", variant_ / "etc");
  EXPECT_EQ(refusal().substr(0, 13), "corrupt: link");
}

TEST_P(VariantDigestTest, LeavesOutWhatPythonAndTheSignatureAdd) {
  write_file(variant_ / "__pycache__/x.bin", "");
  write_file(variant_ / "sub/__pycache__/y.pyc", "");
  write_file(variant_ / "z.pyc", "");
  write_file(variant_ / "metadata.json.sigstore", "{}");
  EXPECT_EQ(refusal(), "accepted");
  write_file(variant_ / "sub/metadata.json", "{}");  // only the variant's own stands outside
  EXPECT_EQ(refusal(), "corrupt: file sub/metadata.json is not in metadata.json");
}

TEST_P(VariantDigestTest, RefusesCorruptMetadata) {
  write_file(variant_ / "metadata.json", "{");
  EXPECT_EQ(refusal().substr(0, 7), "corrupt");
  fs::remove(variant_ / "metadata.json");
  fs::create_directory(variant_ / "metadata.json");
  EXPECT_EQ(refusal().substr(0, 7), "corrupt");
}

TEST_P(VariantDigestTest, WarnsOfATrustedPublishersVariantWithoutDigest) {
  fs::remove(variant_ / "metadata.json");
  VerifiedVariant verified = verify_variant(variant_, read_metadata(variant_));
  EXPECT_FALSE(verified.has_digest());
  TrustDecision decision = decide_publisher({}, "kernels-community/norm", false);
  check_variant({}, variant_, decision);
  EXPECT_EQ(decision.state, "warned");
  EXPECT_EQ(decision.digest, verified.digest());
}

TEST_P(VariantDigestTest, WantsExactlyOneLibrary) {
  write_file(variant_ / "other.so", "x");
  EXPECT_THROW(library_name(variant_), Error);
  fs::remove(variant_ / "other.so");
  EXPECT_EQ(library_name(variant_), "norm.so");
  fs::remove(variant_ / "norm.so");
  EXPECT_THROW(library_name(variant_), Error);
}

}  // namespace
}  // namespace graft
