#include "tokenizer/normalizer.h"

#include <utf8proc.h>

#include <cstdlib>
#include <map>
#include <memory>

#include "tokenizer/utf8.h"

namespace graft::detail {
namespace {

const std::map<std::string, int>& normal_forms() {
  static const std::map<std::string, int> forms{
      {"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
      {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
      {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
      {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
  };
  return forms;
}

struct Free {
  void operator()(utf8proc_uint8_t* memory) const { std::free(memory); }
};

}  // namespace

Normalizer::Normalizer(const Fields& json) {
  add(json);
}

void Normalizer::add(const Fields& json) {
  const std::string type = json.type();
  if (type == "Sequence") {
    for (const Json& part : json.array("normalizers")) add(Fields(part, json.source()));
    return;
  }
  const auto form = normal_forms().find(type);
  if (form == normal_forms().end()) {
    throw Error(ErrorCode::unsupported, json.source(), "normalizer \"" + type + "\" is not supported",
                "supported are NFC, NFD, NFKC, NFKD, Sequence: use a model with a byte-level BPE tokenizer");
  }
  forms_.push_back(form->second);
}

std::string Normalizer::operator()(std::string_view text) const {
  std::string result(text);
  for (const int form : forms_) {
    if (is_ascii(result)) break;  // every normal form of ASCII is itself
    utf8proc_uint8_t* memory = nullptr;
    const utf8proc_ssize_t length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(result.data()),
                                                 static_cast<utf8proc_ssize_t>(result.size()), &memory,
                                                 static_cast<utf8proc_option_t>(form));
    const std::unique_ptr<utf8proc_uint8_t, Free> owner(memory);
    if (length < 0) {
      throw Error(ErrorCode::internal, "Unicode normalisation", utf8proc_errmsg(length),
                  "report this text as a defect");
    }
    result.assign(reinterpret_cast<const char*>(memory), static_cast<std::size_t>(length));
  }
  return result;
}

}  // namespace graft::detail
