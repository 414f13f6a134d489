#include <gtest/gtest.h>

#include "graft/error.h"
#include "graft/hash.h"
#include "graft/sigstore.h"
#include "little_sigstore.h"

namespace graft::test {
namespace {

class VerifyBundle : public testing::Test {
 protected:
  SigstoreIdentity identity_{kIssuer, kSubject, {}, {}, {}};
  LittleSigstore sigstore_;

  TrustedRoot root() const { return TrustedRoot::parse(sigstore_.root().dump(), "root"); }

  SigstoreSigner accept(const Recipe& recipe) const {
    return verify_bundle(sigstore_.bundle(recipe).dump(), Artifact::of_bytes(kFile), root(), identity_);
  }
};

TEST_F(VerifyBundle, AcceptsAMessageSignatureInRekorV1) {
  const SigstoreSigner signer = accept({});
  EXPECT_EQ(signer.subject, kSubject);
  EXPECT_EQ(signer.issuer, kIssuer);
  EXPECT_EQ(signer.source_repository, "https://github.com/graft/norm");
  EXPECT_EQ(signer.log_index, 1001);
  EXPECT_EQ(signer.signed_at, kNow);
  EXPECT_EQ(signer.log_id.size(), 64u);
  EXPECT_EQ(signer.str(), std::string(kSubject) + " (" + kIssuer + ')');
}

TEST_F(VerifyBundle, AcceptsAMessageSignatureInRekorV2) {
  const SigstoreSigner signer = accept({.rekor = 2, .stamped_at = kNow + 5});
  EXPECT_EQ(signer.log_index, 1);
  EXPECT_EQ(signer.signed_at, kNow + 5);
}

TEST_F(VerifyBundle, AcceptsStatementsInEveryKindOfEntry) {
  EXPECT_NO_THROW(accept({.rekor = 1, .dsse = true}));
  EXPECT_NO_THROW(accept({.rekor = 1, .dsse = true, .intoto_entry = true}));
  EXPECT_NO_THROW(accept({.rekor = 2, .dsse = true}));
  EXPECT_NO_THROW(accept({.rekor = 2, .dsse = true, .dsse_entry = true}));
}

TEST_F(VerifyBundle, AcceptsTheKeysThatSigstoreHas) {
  EXPECT_NO_THROW(accept({.curve = "P-384", .hash = "sha384"}));
  EXPECT_NO_THROW(accept({.rekor = 2, .curve = "P-384", .hash = "sha384"}));
  EXPECT_NO_THROW(accept({.curve = "P-384", .hash = "sha256"}));
  EXPECT_NO_THROW(accept({.dsse = true, .curve = "P-384", .hash = "sha384"}));
  EXPECT_NO_THROW(accept({.curve = "RSA"}));
  EXPECT_NO_THROW(accept({.rekor = 2, .dsse = true, .curve = "RSA"}));
  EXPECT_NO_THROW(accept({.curve = "ED25519", .hash = "sha512"}));
  EXPECT_NO_THROW(accept({.dsse = true, .curve = "ED25519"}));
}

TEST_F(VerifyBundle, TakesTheEarliestOfSeveralTimes) {
  EXPECT_EQ(accept({.stamped_at = kNow - 5, .timestamp = true}).signed_at, kNow - 5);
}

TEST_F(VerifyBundle, CountsACertificatesFirstAndLastSecondAsInside) {
  EXPECT_NO_THROW(accept({.certificate_start = kNow, .certificate_end = kNow}));
  EXPECT_NO_THROW(accept({.rekor = 2, .certificate_start = kNow, .certificate_end = kNow}));
}

TEST_F(VerifyBundle, KnowsADigestInsteadOfTheFile) {
  const std::string bundle = sigstore_.bundle({}).dump();
  const std::string text = "sha256:" + to_hex(*Artifact::of_bytes(kFile).digest("sha256"));
  EXPECT_NO_THROW(verify_bundle(bundle, Artifact::of_digest(text), root(), identity_));
  for (const char* wrong : {"sha1:00", "sha256:", "sha256:zz", "norm.so"})
    EXPECT_THROW(Artifact::of_digest(wrong), Error);
}

TEST_F(VerifyBundle, SaysThatASha384NeedsTheFileItself) {
  const Artifact artifact = Artifact::of_digest("sha256:" + std::string(64, 'a'));
  try {
    verify_bundle(sigstore_.bundle({.curve = "P-384", .hash = "sha384"}).dump(), artifact, root(), identity_);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.mend(), "give the file itself instead of its digest");
  }
}

TEST_F(VerifyBundle, MatchesASubjectByPattern) {
  identity_.subject = "";
  identity_.subject_pattern = "https://github.com/graft/*@refs/heads/*";
  EXPECT_NO_THROW(accept({}));
  identity_.subject_pattern = "https://github.com/graft/*@refs/tags/*";
  EXPECT_THROW(accept({}), Error);
  identity_.subject_pattern = "*";
  EXPECT_NO_THROW(accept({.subject = "someone@example.org"}));
  identity_.subject = "https://github.com/graft/other";
  EXPECT_THROW(accept({}), Error);
}

TEST_F(VerifyBundle, AsksForRepositoryAndBuildSignerIfThePolicyDoes) {
  identity_.source_repository = "https://github.com/graft/norm";
  EXPECT_NO_THROW(accept({}));
  identity_.build_signer = "https://github.com/graft/builder";
  EXPECT_THROW(accept({}), Error);
}

TEST_F(VerifyBundle, RefusesAPolicyThatNamesNobody) {
  for (const SigstoreIdentity& identity : {SigstoreIdentity{}, SigstoreIdentity{kIssuer, "", "", "x", "x"},
                                           SigstoreIdentity{"", kSubject, "*", "", ""}}) {
    try {
      verify_bundle(sigstore_.bundle({}).dump(), Artifact::of_bytes(kFile), root(), identity);
      FAIL();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    }
  }
}

TEST_F(VerifyBundle, AcceptsAKeyOfItsOwn) {
  for (int rekor : {1, 2}) {
    const KeyPtr key = make_key();
    const std::string bundle = sigstore_.bundle({.rekor = rekor, .with_key = true}, key).dump();
    const SigstoreSigner signer =
        verify_bundle_with_key(bundle, Artifact::of_bytes(kFile), root(), pem(key.get()));
    EXPECT_EQ(signer.subject, "");
    EXPECT_EQ(signer.signed_at, kNow);
    EXPECT_THROW(verify_bundle_with_key(bundle, Artifact::of_bytes(kFile), root(), pem(make_key().get())),
                 Error);
    EXPECT_THROW(verify_bundle_with_key(bundle, Artifact::of_bytes("other"), root(), pem(key.get())), Error);
    EXPECT_THROW(verify_bundle_with_key(bundle, Artifact::of_bytes(kFile), root(), "no key"), Error);
    EXPECT_THROW(verify_bundle(bundle, Artifact::of_bytes(kFile), root(), identity_), Error);
  }
  EXPECT_THROW(verify_bundle_with_key(sigstore_.bundle({}).dump(), Artifact::of_bytes(kFile), root(),
                                      pem(make_key().get())),
               Error);
}

TEST_F(VerifyBundle, ReadsSnakeCaseAndUrlSafeBase64AsProtobufDoes) {
  Json bundle = sigstore_.bundle({});
  bundle["message_signature"] = bundle["messageSignature"];
  bundle.erase("messageSignature");
  std::string signature = bundle["message_signature"]["signature"];
  for (char& c : signature) c = c == '+' ? '-' : c == '/' ? '_' : c;
  while (signature.ends_with('=')) signature.pop_back();
  bundle["message_signature"]["signature"] = signature;
  EXPECT_NO_THROW(verify_bundle(bundle.dump(), Artifact::of_bytes(kFile), root(), identity_));
}

}  // namespace
}  // namespace graft::test
