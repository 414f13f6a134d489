#include "graft/stream_decoder.h"

#include "tokenizer/utf8.h"

namespace graft {

std::string StreamDecoder::push(std::int64_t id) {
  if (options_.skip_special_tokens && tokenizer_.is_special(id)) return {};
  pending_ += tokenizer_.token_bytes(id);
  std::string text;
  pending_.erase(0, detail::append_valid(pending_, false, text));
  return text;
}

std::string StreamDecoder::finish() {
  std::string text;
  detail::append_valid(pending_, true, text);
  pending_.clear();
  return text;
}

}  // namespace graft
