// Bundles that somebody has tampered with: each is refused for its own reason.
#include <gtest/gtest.h>

#include <functional>

#include "graft/error.h"
#include "graft/sigstore.h"
#include "little_sigstore.h"

namespace graft::test {
namespace {

class HostileBundle : public testing::Test {
 protected:
  SigstoreIdentity identity_{kIssuer, kSubject, {}, {}, {}};
  LittleSigstore sigstore_;
  Json root_ = sigstore_.root();
  std::string file_ = kFile;

  /// "untrusted: …"; "": accepted.
  std::string refusal(const std::string& bundle) const {
    try {
      verify_bundle(bundle, Artifact::of_bytes(file_), TrustedRoot::parse(root_.dump(), "root"), identity_);
      return "";
    } catch (const Error& e) {
      return std::string(name(e.code())) + ": " + e.why();
    }
  }

  void refuses(const Recipe& recipe, const std::string& why) const {
    refuses_json(sigstore_.bundle(recipe), why);
  }

  void refuses_json(const Json& bundle, const std::string& why) const {
    const std::string got = refusal(bundle.dump());
    EXPECT_NE(got.find(why), std::string::npos) << "got: " << got << "\nwanted: " << why;
    EXPECT_NE(got, "");
  }

  /// The right bundle of both logs, changed: `change` gets the bundle.
  void refuses_changed(const std::function<void(Json&)>& change, const std::string& why,
                       Recipe recipe = {}) const {
    Json bundle = sigstore_.bundle(recipe);
    ASSERT_EQ(refusal(bundle.dump()), "");
    change(bundle);
    refuses_json(bundle, why);
  }

  static Json& entry(Json& bundle) { return bundle["verificationMaterial"]["tlogEntries"][0]; }
  static Json& proof(Json& bundle) { return entry(bundle)["inclusionProof"]; }
};

TEST_F(HostileBundle, CertificateExpiredOrNotYetValidWhenSigned) {
  refuses({.logged_at = kNow + 541}, "its certificate was not valid when it signed");
  refuses({.logged_at = kNow - 61}, "its certificate was not valid when it signed");
  refuses({.rekor = 2, .stamped_at = kNow + 541}, "its certificate was not valid when it signed");
  // Every time that is known counts, not the one that suits.
  refuses({.stamped_at = kNow + 541, .timestamp = true}, "its certificate was not valid when it signed");
}

TEST_F(HostileBundle, CertificateOfSomebodyElse) {
  refuses({.subject = "https://github.com/evil/norm"}, "subject is \"https://github.com/evil/norm\"");
  refuses({.subject = std::string(kSubject) + "x"}, "subject is");
  refuses({.issuer = "https://evil.example"}, "issuer is \"https://evil.example\"");
  refuses({.two_subjects = true}, "does not name one signer");
}

TEST_F(HostileBundle, CertificateOfAnotherRoot) {
  const LittleSigstore other;
  root_["certificateAuthorities"] = other.root()["certificateAuthorities"];
  refuses(Recipe{}, "does not lead to the trusted root");
}

TEST_F(HostileBundle, CertificateThatIsNotForSigningCode) {
  refuses({.leaf_usage = "serverAuth"}, "not for signing code");
  refuses({.leaf_is_ca = true}, "certificate authority's, not a signer's");
}

TEST_F(HostileBundle, CertificateAuthorityOutsideItsTimes) {
  root_["certificateAuthorities"][0]["validFor"]["end"] = "2025-06-15T15:06:39Z";  // a second before kNow
  refuses(Recipe{}, "does not trust the certificate authority");
}

TEST_F(HostileBundle, CertificateLogUnknownForgedOrAbsent) {
  refuses({.without_sct = true}, "no timestamp of a certificate log");
  refuses({.ct_key = make_key()}, "by a certificate log that the trusted root does not know");
  const LittleSigstore other;
  root_["ctlogs"][0]["publicKey"] = other.root()["ctlogs"][0]["publicKey"];
  refuses(Recipe{}, "not signed by the certificate log's key");
  root_ = sigstore_.root();
  root_["ctlogs"][0]["publicKey"]["validFor"]["start"] = "2030-01-01T00:00:00Z";
  refuses(Recipe{}, "did not trust the certificate log");
}

TEST_F(HostileBundle, AnotherFile) {
  file_ = "other bytes";
  refuses({.rekor = 1}, "another file");
  refuses({.rekor = 2}, "another file");
  refuses({.rekor = 1, .dsse = true}, "about other files");
  refuses({.rekor = 2, .dsse = true}, "about other files");
}

TEST_F(HostileBundle, SignatureOfAnotherBundle) {
  for (int rekor : {1, 2}) {
    const Json other = sigstore_.bundle({.rekor = rekor});
    refuses_changed([&](Json& b) { b["messageSignature"] = other["messageSignature"]; },
                    rekor == 1 ? "log entry is of another signature" : "a timestamp is of another signature",
                    {.rekor = rekor});
  }
  const Json other = sigstore_.bundle({.dsse = true, .file = "other"});
  refuses_changed([&](Json& b) { b["dsseEnvelope"] = other["dsseEnvelope"]; },
                  "log entry is of another payload", {.dsse = true});
  refuses_changed([&](Json& b) { b["dsseEnvelope"]["payloadType"] = "text/plain"; }, "envelope's signature",
                  {.dsse = true});
}

TEST_F(HostileBundle, CertificateOfAnotherBundle) {
  const Json other = sigstore_.bundle({});
  refuses_changed(
      [&](Json& b) {
        b["verificationMaterial"]["certificate"] = other["verificationMaterial"]["certificate"];
      },
      "log entry is of another certificate");
}

TEST_F(HostileBundle, LogProofOfAnotherEntry) {
  for (int rekor : {1, 2}) {
    const Json other = sigstore_.bundle({.rekor = rekor, .file = "other"});
    refuses_changed(
        [&](Json& b) { proof(b) = other["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]; },
        "does not lead to the log's root hash", {.rekor = rekor});
    refuses_changed([&](Json& b) { entry(b) = other["verificationMaterial"]["tlogEntries"][0]; },
                    "log entry is of another", {.rekor = rekor});
  }
}

TEST_F(HostileBundle, CheckpointOfAnotherTree) {
  const Json other = sigstore_.bundle({.file = "other"});
  refuses_changed(
      [&](Json& b) {
        proof(b)["checkpoint"] =
            other["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["checkpoint"];
      },
      "checkpoint is of another tree");
  refuses({.checkpoint_key = make_key()}, "checkpoint is not signed by the log's key");
  refuses({.rekor = 2, .checkpoint_key = make_key("ED25519")}, "checkpoint is not signed by the log's key");
}

TEST_F(HostileBundle, CheckpointsThatAreNone) {
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"", "no inclusion proof with a checkpoint"},
           {"\n", "one blank line"},
           {"two.example\n3\n\n", "no root hash"},
           {"two.example\n3\nAAAA\n\n", "malformed"},
           {"two.example\n03\nAAAA\n\n", "malformed"},
           {"two.example\n3\nAAAA\n\n\u2014 x AAAA", "whole signature line"},
           {"two.example\n3\nAAAA\n\n\u2014 x AAAA\n", "malformed signature"},
           {"two.example\n3\nAAAA\n\n- x AAAAAAAA\n", "malformed signature line"},
           {"two.example\n3\n" + base64(Bytes(32)) + "\n\n", "no signature by the log's key"}})
    refuses_changed([&, text = text](Json& b) { proof(b)["checkpoint"]["envelope"] = text; }, why,
                    {.rekor = 2});
}

TEST_F(HostileBundle, NumbersOfTheLogThatDoNotFit) {
  refuses_changed([](Json& b) { proof(b)["treeSize"] = "4"; }, "");
  refuses_changed([](Json& b) { proof(b)["treeSize"] = "1"; }, "is for entry 1 of a log with 1");
  refuses_changed([](Json& b) { proof(b)["logIndex"] = "0"; }, "inclusion proof");
  refuses_changed([](Json& b) { proof(b)["logIndex"] = "-1"; }, "not a whole number");
  refuses_changed([](Json& b) { proof(b)["logIndex"] = -1; }, "not a whole number");
  refuses_changed([](Json& b) { entry(b)["logIndex"] = "99999999999999999999"; }, "not a whole number");
  refuses_changed([](Json& b) { entry(b)["logIndex"] = "2"; }, "promise");
  refuses_changed([](Json& b) { entry(b)["logIndex"] = "2"; }, "not the one that its inclusion proof is for",
                  {.rekor = 2});
  refuses_changed([](Json& b) { proof(b)["hashes"].push_back(base64(Bytes(32))); }, "3 hashes instead of 2");
  refuses_changed([](Json& b) { proof(b)["hashes"][0] = base64(Bytes(31)); }, "not of 32 bytes");
}

TEST_F(HostileBundle, PromiseByAnotherKeyOrOfAnotherTime) {
  refuses({.promise_key = make_key()}, "signed entry timestamp) is not signed by the log's key");
  refuses_changed([](Json& b) { entry(b)["integratedTime"] = std::to_string(kNow + 1); },
                  "is not signed by the log's key");
  refuses_changed([](Json& b) { entry(b)["integratedTime"] = "9223372036854775807"; }, "after the year 9999");
  refuses_changed([](Json& b) { entry(b).erase("integratedTime"); }, "without saying when");
}

TEST_F(HostileBundle, LogUnknownOrOutsideItsTimes) {
  refuses_changed([](Json& b) { entry(b)["logId"]["keyId"] = base64(Bytes(32)); },
                  "transparency log that the trusted root does not know");
  root_["tlogs"][0]["publicKey"]["validFor"]["end"] = "2025-06-15T15:06:39Z";
  refuses(Recipe{}, "did not trust the log's key");
  root_["tlogs"][1]["publicKey"]["validFor"]["start"] = "2025-06-15T15:06:41Z";
  refuses({.rekor = 2}, "did not trust the log's key");
  // Both ends are inside.
  root_["tlogs"][0]["publicKey"]["validFor"] = {{"start", "2025-06-15T15:06:40Z"},
                                                {"end", "2025-06-15T15:06:40Z"}};
  EXPECT_EQ(refusal(sigstore_.bundle({}).dump()), "");
}

TEST_F(HostileBundle, TimestampsThatSayNothing) {
  const auto timestamps = [](Json& b) -> Json& {
    return b["verificationMaterial"]["timestampVerificationData"];
  };
  refuses_changed([&](Json& b) { b["verificationMaterial"].erase("timestampVerificationData"); },
                  "says when it was signed", {.rekor = 2});
  refuses_changed(
      [&](Json& b) {
        timestamps(b) = sigstore_.bundle({.rekor = 2})["verificationMaterial"]["timestampVerificationData"];
      },
      "timestamp is of another signature", {.rekor = 2});
  refuses_changed(
      [&](Json& b) { timestamps(b)["rfc3161Timestamps"].push_back(timestamps(b)["rfc3161Timestamps"][0]); },
      "same timestamp twice", {.rekor = 2});
  refuses_changed([&](Json& b) { timestamps(b)["rfc3161Timestamps"][0]["signedTimestamp"] = "AAAA"; },
                  "not an RFC 3161 response", {.rekor = 2});
  const LittleSigstore other;
  root_["timestampAuthorities"] = other.root()["timestampAuthorities"];
  refuses({.rekor = 2}, "says when it was signed");
  root_ = sigstore_.root();
  root_["timestampAuthorities"][0]["validFor"]["end"] = "2025-06-15T15:06:39Z";
  refuses({.rekor = 2}, "did not trust its authority");
}

TEST_F(HostileBundle, EntriesOrSignaturesTooManyOrTooFew) {
  refuses_changed([](Json& b) { b["verificationMaterial"]["tlogEntries"] = Json::array(); },
                  "in no transparency log");
  refuses_changed([](Json& b) { b["verificationMaterial"]["tlogEntries"].push_back(entry(b)); },
                  "same log entry twice");
  refuses_changed([](Json& b) { b["messageSignature"]["signature"] = ""; }, "\"signature\" is empty");
  refuses_changed([](Json& b) { b["dsseEnvelope"]["signatures"] = Json::array(); }, "holds 0 signatures",
                  {.dsse = true});
  refuses_changed(
      [](Json& b) { b["dsseEnvelope"]["signatures"].push_back(b["dsseEnvelope"]["signatures"][0]); },
      "holds 2 signatures", {.dsse = true});
  refuses_changed([](Json& b) { b.erase("messageSignature"); }, "must be there");
  refuses_changed([](Json& b) { b["messageSignature"]["messageDigest"]["digest"] = base64(Bytes(32)); },
                  "the digest that it repeats differs");
}

TEST_F(HostileBundle, VersionsAreHeldToTheirRules) {
  refuses_changed([](Json& b) { b["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.4"; },
                  "unknown");
  refuses_changed([](Json& b) { b["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2"; },
                  "before version 0.3");
  const auto old = [](const char* version, Json bundle) {
    bundle["mediaType"] = std::string("application/vnd.dev.sigstore.bundle+json;version=0.") + version;
    Json& material = bundle["verificationMaterial"];
    material["x509CertificateChain"] = {{"certificates", {material["certificate"]}}};
    material.erase("certificate");
    return bundle;
  };
  Json first = old("1", sigstore_.bundle({}));
  EXPECT_EQ(refusal(first.dump()), "");
  entry(first).erase("inclusionProof");
  EXPECT_EQ(refusal(first.dump()), "");  // 0.1 is content with the promise
  entry(first).erase("inclusionPromise");
  refuses_json(first, "no promise");
  Json second = old("2", sigstore_.bundle({}));
  EXPECT_EQ(refusal(second.dump()), "");
  entry(second).erase("inclusionProof");
  refuses_json(second, "no inclusion proof");
  Json with_root = old("2", sigstore_.bundle({}));
  with_root["verificationMaterial"]["x509CertificateChain"]["certificates"].push_back(
      root_["certificateAuthorities"][0]["certChain"]["certificates"][1]);
  refuses_json(with_root, "root certificate of its own");
}

TEST_F(HostileBundle, JsonThatIsNone) {
  const std::string good = sigstore_.bundle({}).dump();
  EXPECT_EQ(refusal(good), "");
  const std::string twice = "{\"mediaType\": \"x\"," + good.substr(1);
  for (const std::string& text :
       std::vector<std::string>{"", "[]", good.substr(0, good.size() - 1), good + "x", twice, "\xff" + good,
                                std::string(20 << 20, ' '),
                                "{\"mediaType\":" + std::string(100000, '[') + std::string(100000, ']') + '}',
                                "{\"mediaType\": \"\xc3\x28\"}"})
    EXPECT_EQ(refusal(text).substr(0, 7), "corrupt") << text.substr(0, 60);
  refuses_changed([](Json& b) { b["extra"] = 1; }, "is not a field");
  refuses_changed([](Json& b) { entry(b)["log_index"] = "1"; }, "is there twice");
  refuses_changed([](Json& b) { b["messageSignature"] = "x"; }, "not a JSON object");
}

/// Of the bundle's text one bit in every 64th byte, of both logs, and of every 8th byte's lowest bit for good
/// measure.
TEST_F(HostileBundle, AFlippedBitIsRefusedOrChangesNothing) {
  const TrustedRoot root = TrustedRoot::parse(root_.dump(), "root");
  const Artifact artifact = Artifact::of_bytes(kFile);
  for (const Recipe& recipe : {Recipe{.rekor = 1}, Recipe{.rekor = 2}, Recipe{.rekor = 1, .dsse = true}}) {
    const std::string good = sigstore_.bundle(recipe).dump();
    const SigstoreSigner signer = verify_bundle(good, artifact, root, identity_);
    for (std::size_t i = 0; i < good.size(); i += 8) {
      for (int bit = i % 64 ? 7 : 0; bit < 8; ++bit) {
        std::string bad = good;
        bad[i] = static_cast<char>(bad[i] ^ (i % 64 ? 1 : 1 << bit));
        try {
          const SigstoreSigner other = verify_bundle(bad, artifact, root, identity_);
          EXPECT_EQ(other.str(), signer.str());
          EXPECT_EQ(other.log_index, signer.log_index);
          EXPECT_EQ(other.signed_at, signer.signed_at);
        } catch (const Error& e) {
          EXPECT_NE(e.code(), ErrorCode::internal) << e.what();
        }
      }
    }
  }
}

}  // namespace
}  // namespace graft::test
