// Ed25519 signatures over a variant: who may sign, when, and what is refused.
#include <gtest/gtest.h>

#include <functional>

#include "fixtures.h"
#include "graft/error.h"
#include "graft/hash.h"
#include "graft/pack.h"
#include "graft/sign.h"
#include "keys/ed25519.h"
#include "keys/key_signature.h"
#include "signature.h"
#include "variant_digest.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

class KeySignatureTest : public testing::Test {
 protected:
  KeySignatureTest() {
    for (const char* name : {"old", "new", "stranger"}) {
      keys_[name] = ed25519::make_private_key();
      test::write_file(key(name), keys_[name]);
    }
    policy_.trusted_publishers["us"].signers = {{.key = "old"}, {.key = "new"}};
    for (const char* name : {"old", "new"}) policy_.keys[name] = {.public_key = ed25519::public_key_of(keys_[name])};
    test::write_file(folder_.path() / "source/build/v/k.so", "library");
    PackResult packed = pack_repo(
        {.source = folder_.path() / "source", .hub = folder_.path() / "hub", .repo = "us/norm", .tag = "v1.0.0"});
    variant_ = folder_.path() / "hub/kernels/us/norm/commits" / packed.commit / "build/v";
  }
  fs::path key(const std::string& name) const { return folder_.path() / (name + ".pem"); }
  void sign(std::vector<fs::path> keys, bool plain = false) {
    sign_variants({.folder = variant_, .keys = std::move(keys), .plain = plain});
  }
  TrustDecision check() {
    TrustDecision decision = decide_publisher(policy_, "us/norm", false);
    check_variant(policy_, variant_, decision);
    return decision;
  }
  /// "rule: why"
  std::string refusal() {
    TrustDecision decision = decide_publisher(policy_, "us/norm", false);
    try {
      check_variant(policy_, variant_, decision);
    } catch (const Error& e) {
      return decision.rule + ": " + e.why();
    }
    return "accepted";
  }

  test::TempFolder folder_;
  std::map<std::string, std::string> keys_;
  Policy policy_;
  fs::path variant_;
};

TEST_F(KeySignatureTest, NamesTheKeyThatSigned) {
  for (bool plain : {false, true}) {
    sign({key("new")}, plain);
    TrustDecision decision = check();
    EXPECT_EQ(decision.state, "trusted");
    EXPECT_EQ(decision.signer.substr(0, 16), "key new (sha256:") << decision.signer;
    EXPECT_EQ(decision.rule, "signers");
    fs::remove(variant_ / (plain ? kPlainFile : kDsseFile));
  }
}

TEST_F(KeySignatureTest, LetsAKeyBeRotatedWithOverlap) {
  sign({key("old"), key("new")});
  policy_.keys["old"].not_after = "2020-01-01";
  EXPECT_EQ(check().signer.substr(0, 8), "key new ");
  policy_.keys["old"].not_after = "";
  policy_.keys["new"].not_before = "2999-01-01";
  EXPECT_EQ(check().signer.substr(0, 8), "key old ");
}

TEST_F(KeySignatureTest, RefusesAKeyOutsideItsTimeOrRevoked) {
  sign({key("new")});
  policy_.keys["new"].not_after = "2020-01-01";
  EXPECT_NE(refusal().find("was valid until 2020-01-01"), std::string::npos) << refusal();
  policy_.keys["new"] = {.public_key = policy_.keys["new"].public_key, .not_before = "2999-01-01"};
  EXPECT_NE(refusal().find("is not valid before 2999-01-01"), std::string::npos);
  policy_.keys["new"] = {.public_key = policy_.keys["new"].public_key, .revoked = true};
  EXPECT_NE(refusal().find("is revoked"), std::string::npos);
  policy_.keys["new"].revoked = false;
  EXPECT_EQ(refusal(), "accepted");
}

TEST_F(KeySignatureTest, CountsTheDaysOfTheKeyInclusively) {
  sign({key("new")});
  policy_.keys["new"].not_before = policy_.keys["new"].not_after = today();
  EXPECT_EQ(refusal(), "accepted");
}

TEST_F(KeySignatureTest, RefusesAStrangersKey) {
  sign({key("stranger")});
  EXPECT_EQ(refusal(), "signers: its metadata.json is signed by none of the keys that the policy names for us");
  policy_.allow_all_kernels = true;  // is about who, never about a signature
  EXPECT_EQ(refusal().substr(0, 8), "signers:");
}

TEST_F(KeySignatureTest, RefusesAnUnsignedVariantOfAPublisherWhoSigns) {
  EXPECT_EQ(refusal(), "signers: is not signed, and the policy names who signs for us");
}

TEST_F(KeySignatureTest, RequiresSignaturesAsThePolicySays) {
  policy_.trusted_publishers["us"].signers.clear();
  EXPECT_EQ(refusal(), "accepted");
  policy_.require_signature = RequireSignature::trusted_only;
  EXPECT_EQ(refusal().substr(0, 18), "require_signature:");
  policy_.trusted_publishers.erase("us");
  policy_.allow_all_kernels = true;
  EXPECT_EQ(refusal(), "accepted");  // of no trusted publisher
  policy_.require_signature = RequireSignature::always;
  EXPECT_EQ(refusal().substr(0, 18), "require_signature:");
}

TEST_F(KeySignatureTest, SaysThatASignatureCouldNotBeHeldAgainstAnyKey) {
  sign({key("new")});
  policy_.trusted_publishers["us"].signers.clear();
  TrustDecision decision = check();
  EXPECT_EQ(decision.signer, "");
  EXPECT_NE(decision.reason.find("the policy names none to hold it against"), std::string::npos);
}

TEST_F(KeySignatureTest, RefusesMetadataThatWasChangedBehindTheSignature) {
  sign({key("new")});
  std::string metadata = test::read_file(variant_ / "metadata.json");
  test::write_file(variant_ / "metadata.json", metadata + " ");
  EXPECT_EQ(refusal(), "signers: is around other bytes than metadata.json");
  sign({key("new")}, true);
  fs::remove(variant_ / kDsseFile);
  test::write_file(variant_ / "metadata.json", metadata);
  EXPECT_EQ(refusal().substr(0, 8), "signers:");
}

TEST_F(KeySignatureTest, RefusesEveryFlippedBitOfASignature) {
  for (const char* name : {kDsseFile, kPlainFile}) {
    sign({key("new")}, name == std::string(kPlainFile));
    const std::string good = test::read_file(variant_ / name);
    // By DSSE a keyid is a hint that nobody vouches for; the last byte is the line's end.
    const std::size_t hint = good.find("\"keyid\""), hint_end = good.find(",\"sig\"");
    for (std::size_t at = 0; at + 1 < good.size(); ++at) {
      if (at >= hint && at < hint_end) continue;
      std::string bad = good;
      bad[at] ^= 1;
      test::write_file(variant_ / name, bad);
      EXPECT_NE(refusal(), "accepted") << name << " at " << at;
    }
    fs::remove(variant_ / name);
  }
}

TEST_F(KeySignatureTest, RefusesAValidSignatureOfAnotherVariant) {
  test::write_file(folder_.path() / "other/build/v/k.so", "another library");
  PackResult packed = pack_repo({.source = folder_.path() / "other", .hub = folder_.path() / "hub", .repo = "us/other",
                                 .tag = "v1.0.0", .key = key("new")});
  fs::copy_file(folder_.path() / "hub/kernels/us/other/commits" / packed.commit / "build/v" / kDsseFile,
                variant_ / kDsseFile);
  EXPECT_EQ(refusal(), "signers: is around other bytes than metadata.json");
}

TEST_F(KeySignatureTest, RefusesFilesThatTheSignedDigestDoesNotName) {
  sign({key("new")});
  test::write_file(variant_ / "extra.so", "x");
  EXPECT_EQ(refusal().substr(0, 7), "digest:");
  fs::remove(variant_ / "extra.so");
  test::write_file(variant_ / "k.so", "changed");
  EXPECT_EQ(refusal().substr(0, 7), "digest:");
}

TEST_F(KeySignatureTest, RefusesASignatureThatCoversNoFiles) {
  test::write_file(variant_ / "metadata.json", R"({"name": "norm"})");
  test::write_file(variant_ / kDsseFile, sign_dsse(R"({"name": "norm"})", {keys_["new"]}));
  EXPECT_NE(refusal().find("the signature covers none of its files"), std::string::npos) << refusal();
  EXPECT_THROW(sign({key("new")}), Error);
}

TEST_F(KeySignatureTest, DeniesALibraryByItsDigest) {
  sign({key("new")});
  policy_.denied_digests = {check().digest};
  EXPECT_EQ(refusal().substr(0, 5), "deny:");
}

TEST(Ed25519, KnowsTheTestVectorOfRfc8032) {  // section 7.1, test 2, with the key in PKCS #8 and SPKI
  const std::string secret = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n-----END PRIVATE KEY-----\n";
  std::string pem = ed25519::public_key_of(secret);
  EXPECT_EQ(pem, "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n-----END PUBLIC KEY-----\n");
  std::string signature = ed25519::sign(secret, "\x72");
  EXPECT_EQ(to_hex({signature.begin(), signature.end()}),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
  EXPECT_TRUE(ed25519::verify(pem, "\x72", signature));
  EXPECT_FALSE(ed25519::verify(pem, "\x73", signature));
  EXPECT_FALSE(ed25519::verify(pem, "\x72", signature.substr(1)));
  EXPECT_THROW(ed25519::key_id("none"), Error);
  EXPECT_THROW(ed25519::sign(pem, "x"), Error);
}

TEST(Base64, ReadsWhatItWritesAndNothingElse) {
  for (std::string text : {"", "f", "fo", "foo", "foob"})
    EXPECT_EQ(from_base64(to_base64({text.begin(), text.end()})), text);
  for (const char* wrong : {"Zg", "Zg=", "Zh==", "Z===", "====", " Zg==", "Zg==\n", "Zm9v Zm9v", "Zm9-"})
    EXPECT_EQ(from_base64(wrong), std::nullopt) << wrong;
}

}  // namespace
}  // namespace graft
