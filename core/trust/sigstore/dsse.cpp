#include "dsse.h"

#include "json_text.h"
#include "refuse.h"

namespace graft::sigstore {
namespace {

/// Every digest that both know must be the same, and there must be one.
bool is_artifact(const detail::Fields& subject, const Artifact& artifact) {
  if (!subject.has("digest")) return false;
  bool matches = false;
  for (const auto& item : subject.object("digest").items()) {
    const auto* known = artifact.digest(item.key());
    if (!known) continue;
    if (!item.value().is_string()) corrupt("a subject's digest in the statement is not a string");
    const auto stated = decode_hex(item.value().get_ref<const std::string&>());
    if (!stated || !equal(*stated, *known)) return false;
    matches = true;
  }
  return matches;
}

}  // namespace

std::string pae(std::string_view type, std::string_view payload) {
  return "DSSEv1 " + std::to_string(type.size()) + ' ' + std::string(type) + ' ' + std::to_string(payload.size()) +
         ' ' + std::string(payload);
}

std::string pae(const Envelope& envelope) {
  return pae(envelope.payload_type, text(envelope.payload));
}

void check_subject(const Envelope& envelope, const Artifact& artifact) {
  if (envelope.payload_type != "application/vnd.in-toto+json")
    refuse("it holds a \"" + envelope.payload_type.substr(0, 80) + "\" instead of an in-toto statement");
  const std::string source = "the bundle's in-toto statement";
  const detail::Json json =
      detail::parse_object(text(envelope.payload), source, detail::DuplicateKeys::refused);
  const detail::Fields statement(json, source);
  const std::string type = statement.text("_type");
  if (type != "https://in-toto.io/Statement/v1" && type != "https://in-toto.io/Statement/v0.1")
    refuse("its statement's type \"" + type.substr(0, 80) + "\" is none of in-toto's");
  statement.text("predicateType");
  for (const detail::Json& subject : statement.array("subject"))
    if (is_artifact(detail::Fields(subject, source + ", \"subject\""), artifact)) return;
  refuse("its statement is about other files than this one");
}

}  // namespace graft::sigstore
