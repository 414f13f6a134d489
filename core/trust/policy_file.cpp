// The policy's file: JSON into Policy and back.
#include <cstdlib>

#include "development_key.h"
#include "graft/error.h"
#include "graft/policy.h"
#include "json_text.h"
#include "keys/ed25519.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

using detail::Fields;
using detail::Json;

constexpr std::size_t kMaxBytes = 4 << 20;
constexpr const char* kFirstPartyKey = "graft-kernels";

const std::set<std::string> kFields = {"$schema",       "version",           "trusted_publishers", "keys",
                                       "deny",          "require_signature", "probe",      "self_check", "local_kernels",
                                       "allow_all_kernels", "remember_versions"};

void check_fields(const Fields& fields, const std::set<std::string>& known) {
  for (const auto& [name, value] : fields.items())
    if (!known.contains(name)) fields.fail(name, "is no field of a policy");
}

bool is_date(const std::string& text) {
  if (text.size() != 10) return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (i == 4 || i == 7 ? text[i] != '-' : !std::isdigit(static_cast<unsigned char>(text[i]))) return false;
  int month = std::stoi(text.substr(5, 2)), day = std::stoi(text.substr(8, 2));
  return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

std::string date(const Fields& fields, const std::string& name) {
  std::string text = fields.optional_text(name).value_or("");
  if (!text.empty() && !is_date(text)) fields.fail(name, "is no date (write 2026-01-31)");
  return text;
}

PolicyKey parse_key(const Fields& fields) {
  check_fields(fields, {"public_key", "not_before", "not_after", "revoked"});
  PolicyKey key{fields.text("public_key"), date(fields, "not_before"), date(fields, "not_after"),
                fields.boolean("revoked", false)};
  try {
    ed25519::key_id(key.public_key);
  } catch (const Error& e) {
    fields.fail("public_key", std::string("is no Ed25519 public key in PEM: ") + e.why());
  }
  if (!key.not_before.empty() && !key.not_after.empty() && key.not_after < key.not_before)
    fields.fail("not_after", "lies before not_before");
  return key;
}

SignerRule parse_signer(const Fields& fields) {
  check_fields(fields, {"key", "issuer", "subject", "subject_pattern", "source_repository", "build_signer"});
  auto text = [&](const char* name) { return fields.optional_text(name).value_or(""); };
  SignerRule rule{text("key"),     text("issuer"), text("subject"), text("subject_pattern"), text("source_repository"),
                  text("build_signer")};
  bool identity = !rule.issuer.empty() || !rule.subject.empty() || !rule.subject_pattern.empty() ||
                  !rule.source_repository.empty() || !rule.build_signer.empty();
  if (rule.key.empty() == !identity) fields.fail("key", "and an identity exclude each other, and one of them is needed");
  if (identity && (rule.issuer.empty() || rule.subject.empty() == rule.subject_pattern.empty()))
    fields.fail("issuer", "is needed in an identity, with either subject or subject_pattern");
  return rule;
}

PublisherRule parse_publisher(const Fields& fields) {
  check_fields(fields, {"signers"});
  PublisherRule rule;
  if (fields.has("signers"))
    for (const Json& signer : fields.array("signers"))
      rule.signers.push_back(parse_signer(Fields(signer, fields.source() + ", \"signers\"")));
  return rule;
}

RequireSignature parse_require(const Fields& root) {
  std::string word = root.text("require_signature");
  if (word == "always") return RequireSignature::always;
  if (word == "trusted-only") return RequireSignature::trusted_only;
  if (word != "warn") root.fail("require_signature", "is none of always, trusted-only, warn");
  return RequireSignature::warn;
}

const char* word(RequireSignature require) {
  return require == RequireSignature::always         ? "always"
         : require == RequireSignature::trusted_only ? "trusted-only"
                                                     : "warn";
}

void add_texts(const Fields& fields, const std::string& name, std::set<std::string>& to) {
  if (!fields.has(name)) return;
  for (const Json& item : fields.array(name)) {
    if (!item.is_string() || item.get_ref<const std::string&>().empty()) fields.fail(name, "has something that is no text");
    to.insert(item.get<std::string>());
  }
}

/// The object's members into `map`; one that is null goes from it.
template <class Value>
void put_or_take(const Fields& root, const std::string& field, std::map<std::string, Value>& map,
                 Value (*parse)(const Fields&)) {
  if (!root.has(field)) return;
  for (const auto& [name, value] : root.object(field).items()) {
    map.erase(name);
    if (!value.is_null()) map.emplace(name, parse(Fields(value, root.source() + ", \"" + name + "\" in \"" + field + '"')));
  }
}

void check_signers(const Policy& policy, const Fields& root) {
  for (const auto& [publisher, rule] : policy.trusted_publishers)
    for (const SignerRule& signer : rule.signers)
      if (!signer.key.empty() && !policy.keys.contains(signer.key))
        root.fail("trusted_publishers", "names the key \"" + signer.key + "\" for " + publisher + ", which \"keys\" does not have");
}

}  // namespace

std::map<std::string, PublisherRule> Policy::default_publishers() {
  PublisherRule first_party;
  first_party.signers.push_back({.key = kFirstPartyKey});
  return {{"graft-kernels", first_party}, {"kernels-community", {}}};
}

std::map<std::string, PolicyKey> Policy::default_keys() {
  return {{kFirstPartyKey, {.public_key = kDevelopmentPublicKey}}};
}

Policy Policy::load() {
  Policy policy;
  for (const fs::path& file : policy_files()) {
    std::error_code error;
    fs::file_status status = fs::status(file, error);
    if (status.type() == fs::file_type::not_found) continue;
    policy = read(file, std::move(policy));
  }
  return policy;
}

Policy Policy::read(const fs::path& file, Policy base) {
  return parse(detail::read_text(file, kMaxBytes), file.string(), std::move(base));
}

Policy Policy::parse(std::string_view text, const std::string& source, Policy policy) try {
  const Json json = detail::parse_object(text, source, detail::DuplicateKeys::refused);
  Fields root(json, source);
  check_fields(root, kFields);
  if (root.integer("version") != 1) root.fail("version", "is not 1");
  put_or_take(root, "keys", policy.keys, parse_key);
  put_or_take(root, "trusted_publishers", policy.trusted_publishers, parse_publisher);
  if (root.has("deny")) {
    Fields deny = root.object("deny");
    check_fields(deny, {"repos", "commits", "digests"});
    add_texts(deny, "repos", policy.denied_repos);
    add_texts(deny, "commits", policy.denied_commits);
    add_texts(deny, "digests", policy.denied_digests);
  }
  if (root.has("require_signature")) policy.require_signature = parse_require(root);
  policy.local_kernels = root.boolean("local_kernels", policy.local_kernels);
  policy.allow_all_kernels = root.boolean("allow_all_kernels", policy.allow_all_kernels);
  policy.probe = root.boolean("probe", policy.probe);
  policy.self_check = root.boolean("self_check", policy.self_check);
  policy.remember_versions = root.boolean("remember_versions", policy.remember_versions);
  check_signers(policy, root);
  policy.sources.push_back(source);
  return policy;
} catch (const Error& e) {
  if (e.code() != ErrorCode::corrupt) throw;
  throw Error(e.code(), e.failed(), e.why(), "mend the file; graft policy show prints one that holds");
}

std::string Policy::json() const {
  nlohmann::ordered_json root = {{"version", 1},
                                 {"trusted_publishers", nlohmann::ordered_json::object()},
                                 {"keys", nlohmann::ordered_json::object()},
                                 {"require_signature", word(require_signature)},
                                 {"deny", {{"repos", denied_repos}, {"commits", denied_commits}, {"digests", denied_digests}}},
                                 {"local_kernels", local_kernels},
                                 {"allow_all_kernels", allow_all_kernels},
                                 {"probe", probe},
                                 {"self_check", self_check},
                                 {"remember_versions", remember_versions}};
  auto put = [](nlohmann::ordered_json& object, const char* name, const std::string& text) {
    if (!text.empty()) object[name] = text;
  };
  // What was taken away of the defaults is said, too: a file of this text would have them otherwise.
  for (const auto& [name, rule] : default_publishers()) root["trusted_publishers"][name] = nullptr;
  for (const auto& [name, key] : default_keys()) root["keys"][name] = nullptr;
  for (const auto& [name, rule] : trusted_publishers) {
    nlohmann::ordered_json signers = nlohmann::ordered_json::array();
    for (const SignerRule& signer : rule.signers) {
      nlohmann::ordered_json object = nlohmann::ordered_json::object();
      put(object, "key", signer.key);
      put(object, "issuer", signer.issuer);
      put(object, "subject", signer.subject);
      put(object, "subject_pattern", signer.subject_pattern);
      put(object, "source_repository", signer.source_repository);
      put(object, "build_signer", signer.build_signer);
      signers.push_back(std::move(object));
    }
    root["trusted_publishers"][name] = nlohmann::ordered_json::object();
    if (!signers.empty()) root["trusted_publishers"][name]["signers"] = std::move(signers);
  }
  for (const auto& [name, key] : keys) {
    nlohmann::ordered_json object = {{"public_key", key.public_key}};
    put(object, "not_before", key.not_before);
    put(object, "not_after", key.not_after);
    if (key.revoked) object["revoked"] = true;
    root["keys"][name] = std::move(object);
  }
  return root.dump(2);
}

std::vector<fs::path> policy_files() {
  std::vector<fs::path> files = {"/etc/graft/policy.json"};
  if (fs::path folder = config_folder(); !folder.empty()) files.push_back(folder / "policy.json");
  return files;
}

fs::path config_folder() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  if (config && *config) return fs::path(config) / "graft";
  return home && *home ? fs::path(home) / ".config/graft" : fs::path();
}

}  // namespace graft
