#include "key_signature.h"

#include "ed25519.h"
#include "graft/error.h"
#include "graft/hash.h"
#include "json_text.h"
#include "sigstore/dsse.h"

namespace graft {
namespace {

using detail::Fields;
using detail::Json;

constexpr const char* kPayloadType = "application/vnd.graft.kernel-metadata+json";
constexpr std::size_t kMaxSignatures = 16;

[[noreturn]] void refuse(const char* file, const std::string& why) {
  throw Error(ErrorCode::corrupt, file, why, "sign the kernel again: graft sign");
}

std::string base64(std::string_view bytes) {
  return to_base64({bytes.begin(), bytes.end()});
}

}  // namespace

std::string sign_dsse(std::string_view metadata, const std::vector<std::string>& private_keys) {
  Json signatures = Json::array();
  for (const std::string& key : private_keys)
    signatures.push_back({{"keyid", ed25519::key_id(ed25519::public_key_of(key))},
                          {"sig", base64(ed25519::sign(key, sigstore::pae(kPayloadType, metadata)))}});
  return Json{{"payload", base64(metadata)}, {"payloadType", kPayloadType}, {"signatures", signatures}}.dump() + "\n";
}

std::string sign_plain(std::string_view metadata, const std::string& private_key) {
  return base64(ed25519::sign(private_key, metadata)) + "\n";
}

KeySignatures parse_dsse(std::string_view envelope, std::string_view metadata) {
  const Json json = detail::parse_object(envelope, kDsseFile, detail::DuplicateKeys::refused);
  Fields root(json, kDsseFile);
  if (root.text("payloadType") != kPayloadType) refuse(kDsseFile, "is around something else than a kernel's metadata");
  auto payload = from_base64(root.text("payload"));
  if (!payload || *payload != metadata) refuse(kDsseFile, "is around other bytes than metadata.json");
  KeySignatures found{sigstore::pae(kPayloadType, metadata), {}};
  for (const Json& item : root.array("signatures")) {
    auto signature = from_base64(Fields(item, kDsseFile).text("sig"));
    if (!signature) refuse(kDsseFile, "has a signature that is no base64");
    found.signatures.push_back(*signature);
  }
  if (found.signatures.empty() || found.signatures.size() > kMaxSignatures)
    refuse(kDsseFile, "has no signature, or more than 16");
  return found;
}

KeySignatures parse_plain(std::string_view text, std::string_view metadata) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  auto signature = from_base64(text);
  if (!signature) refuse(kPlainFile, "is no base64");
  return {std::string(metadata), {*signature}};
}

}  // namespace graft
