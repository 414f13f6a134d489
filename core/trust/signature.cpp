#include "signature.h"

#include <ctime>

#include "graft/error.h"
#include "json_text.h"
#include "keys/ed25519.h"
#include "keys/key_signature.h"
#include "sigstore/certificate.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr const char* kBundleFile = "metadata.json.sigstore";

/// Of a publisher that the policy does not name: none.
const std::vector<SignerRule>& signers_of(const Policy& policy, const std::string& publisher) {
  static const std::vector<SignerRule> none;
  auto rule = policy.trusted_publishers.find(publisher);
  return rule == policy.trusted_publishers.end() ? none : rule->second.signers;
}

/// Why the key may not sign now; "" if it may.
std::string flaw_of(const PolicyKey& key) {
  const std::string now = today();
  if (key.revoked) return "is revoked";
  if (!key.not_before.empty() && now < key.not_before) return "is not valid before " + key.not_before;
  if (!key.not_after.empty() && now > key.not_after) return "was valid until " + key.not_after;
  return "";
}

/// Whether one of the policy's keys for this publisher made one of the signatures; else why not, in `why`.
bool is_signed_by_key(const Policy& policy, const KeySignatures& found, TrustDecision& decision, std::string& why) {
  why = "is signed by none of the keys that the policy names for " + decision.publisher;
  for (const SignerRule& rule : signers_of(policy, decision.publisher)) {
    auto key = policy.keys.find(rule.key);
    if (key == policy.keys.end()) continue;
    for (const std::string& signature : found.signatures) {
      if (!ed25519::verify(key->second.public_key, found.message, signature)) continue;
      std::string flaw = flaw_of(key->second);
      if (flaw.empty()) {
        decision.signer = "key " + rule.key + " (" + ed25519::key_id(key->second.public_key).substr(0, 19) + "…)";
        return true;
      }
      why = "is signed by the key " + rule.key + ", which " + flaw;
    }
  }
  return false;
}

[[noreturn]] void refuse(TrustDecision& decision, const fs::path& variant, const char* rule, const std::string& why,
                         const std::string& mend) {
  decision.rule = rule;
  throw Error(ErrorCode::untrusted, "variant " + variant.string(), why, mend);
}

void check_key_signatures(const Policy& policy, const fs::path& variant, const std::string& metadata,
                          TrustDecision& decision) {
  bool wanted = false;
  for (const SignerRule& rule : signers_of(policy, decision.publisher)) wanted |= !rule.key.empty();
  std::string why;
  bool there = false, good = false;
  for (auto [name, parse] : {std::pair(kDsseFile, &parse_dsse), std::pair(kPlainFile, &parse_plain)}) {
    auto text = detail::read_text_if_there(variant / name);
    if (!text) continue;
    there = true;
    good |= is_signed_by_key(policy, parse(*text, metadata), decision, why);
  }
  if (there && !good && wanted && decision.signer.empty())
    refuse(decision, variant, "signers", "its metadata.json " + why,
           "get the publisher's own build, or name the key in the policy: graft policy show");
  if (there && !good) decision.reason += "; it is signed by a key, and the policy names none to hold it against";
}

/// Holds a Sigstore bundle against the identities that the policy names for the publisher; where it names none, it must
/// be good all the same, and who signed is said.
void check_bundle(const Policy& policy, const fs::path& variant, const std::string& metadata, TrustDecision& decision) {
  auto bundle = detail::read_text_if_there(variant / kBundleFile);
  if (!bundle) return;
  const SigstoreSigner signer = verify_bundle(*bundle, Artifact::of_bytes(metadata), trusted_root());
  bool wanted = false;
  std::string why;
  for (const SignerRule& rule : signers_of(policy, decision.publisher)) {
    if (rule.issuer.empty()) continue;
    wanted = true;
    try {
      sigstore::match_identity(
          signer, {rule.issuer, rule.subject, rule.subject_pattern, rule.source_repository, rule.build_signer});
      decision.signer = signer.str() + ", log index " + std::to_string(signer.log_index);
      decision.log_index = signer.log_index;
      return;
    } catch (const Error& e) {
      why = e.why();
    }
  }
  if (wanted)
    refuse(decision, variant, "signers", "its metadata.json is signed by " + signer.str() + ", and " + why,
           "get the publisher's own build, or name the identity in the policy: graft policy show");
  decision.log_index = signer.log_index;
  decision.reason += "; signed by " + signer.str() + ", log index " + std::to_string(signer.log_index) +
                     ", whom the policy does not ask for";
}

}  // namespace

void check_signatures(const Policy& policy, const fs::path& variant, const std::string& metadata,
                      TrustDecision& decision) {
  if (!metadata.empty()) {
    decision.rule = "signers";
    check_bundle(policy, variant, metadata, decision);
    check_key_signatures(policy, variant, metadata, decision);
  }
  if (!decision.signer.empty()) {
    decision.reason += "; signed by " + decision.signer;
    return;
  }
  bool trusted = policy.trusted_publishers.contains(decision.publisher);
  if (!signers_of(policy, decision.publisher).empty())
    refuse(decision, variant, "signers",
           "is not signed, and the policy names who signs for " + decision.publisher,
           "get the publisher's signed build, or change the policy: graft policy show");
  if (policy.require_signature == RequireSignature::always ||
      (policy.require_signature == RequireSignature::trusted_only && trusted))
    refuse(decision, variant, "require_signature", "is not signed by anybody whom the policy names",
           "name who signs for " + decision.publisher + " in the policy: graft policy show");
  decision.rule = trusted ? "trusted_publishers" : "allow_all_kernels";
}

fs::path trusted_root_file() {
  fs::path folder = config_folder();
  return folder.empty() ? folder : folder / "trusted_root.json";
}

TrustedRoot trusted_root() {
  auto text = detail::read_text_if_there(trusted_root_file());
  return text ? TrustedRoot::parse(*text, trusted_root_file().string()) : TrustedRoot::embedded();
}

std::string today() {
  std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
  return text;
}

}  // namespace graft
