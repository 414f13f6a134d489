#include "graft/tokenizer.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/utf8.h"

namespace graft {

using detail::AddedToken;
using detail::Fields;

struct Tokenizer::Parts {
  detail::Bpe bpe;
  detail::Normalizer normalizer;
  detail::AddedTokens added;
  detail::PreTokenizer pre_tokenizer;
  detail::PostProcessor post_processor;
  detail::SpecialTokenIds special;

  detail::StringList bytes;   // of tokens by id; what has no token has none
  std::vector<bool> specials;  // by id

  Parts(const detail::ModelFile& file, const Fields& json, const Fields& config);
  void index_tokens();
  void encode_text(std::string_view text, std::vector<std::int64_t>& ids) const;
};

namespace {

void check_decoder(const Fields& json) {
  if (json.type() == "Sequence") {
    for (const detail::Json& part : json.array("decoders")) check_decoder(Fields(part, json.source()));
  } else if (json.type() != "ByteLevel") {
    throw Error(ErrorCode::unsupported, json.source(), "decoder \"" + json.type() + "\" is not supported",
                "supported is ByteLevel: use a model with a byte-level BPE tokenizer");
  }
}

}  // namespace

Tokenizer::Parts::Parts(const detail::ModelFile& file, const Fields& json, const Fields& config)
    : bpe(json.object("model"), file), pre_tokenizer(json.object("pre_tokenizer")) {
  if (json.has("normalizer")) normalizer = detail::Normalizer(json.object("normalizer"));
  if (json.has("post_processor")) post_processor = detail::PostProcessor(json.object("post_processor"));
  check_decoder(json.object("decoder"));
  detail::read_added_tokens(json, config, bpe, added);
  added.prepare(normalizer);
  special = detail::read_special_token_ids(config, bpe, added);
  index_tokens();
}

void Tokenizer::Parts::index_tokens() {
  const detail::Vocabulary& vocabulary = bpe.vocabulary();
  std::vector<std::string_view> by_id;
  by_id.reserve(vocabulary.size() + added.all().size());
  const auto token_at = [&](std::int32_t id) -> std::string_view& {
    const auto index = static_cast<std::size_t>(id);
    if (by_id.size() <= index) by_id.resize(index + 1);
    return by_id[index];
  };
  for (std::size_t i = 0; i < vocabulary.size(); ++i) token_at(vocabulary.id(i)) = vocabulary.name(i);
  std::vector<std::string> normal;
  normal.reserve(added.all().size());
  for (const auto& [content, token] : added.all()) {
    // As the reference implementation does: a token that is found in normalised text decodes to it.
    token_at(token.id) = token.normalized ? normal.emplace_back(normalizer(content)) : content;
  }
  specials.resize(by_id.size());
  for (const auto& [content, token] : added.all()) specials[static_cast<std::size_t>(token.id)] = token.special;
  bytes.reserve(by_id.size());
  for (const std::string_view token : by_id) bytes.push_back(detail::bytes_of_token(token));
  bytes.shrink_to_fit();
}

void Tokenizer::Parts::encode_text(std::string_view text, std::vector<std::int64_t>& ids) const {
  added.split_raw(text, [&](const AddedToken* raw, std::string_view part) {
    if (raw) return ids.push_back(raw->id);
    std::string normal;
    if (!normalizer.does_nothing()) part = normal = normalizer(part);
    added.split_normalized(part, [&](const AddedToken* token, std::string_view piece) {
      if (token) return ids.push_back(token->id);
      pre_tokenizer.split(piece, [&](std::string_view word) { bpe.encode(word, ids); });
    });
  });
}

Tokenizer Tokenizer::from_file(const std::filesystem::path& tokenizer_json) {
  const std::string text = detail::read_text(tokenizer_json);
  const auto config = detail::read_text_if_there(tokenizer_json.parent_path() / "tokenizer_config.json");
  Tokenizer result = from_json(text, config.value_or("{}"), tokenizer_json.string());
#ifdef __GLIBC__
  ::malloc_trim(0);  // the parsed JSON was ten times the file's size, in small pieces that malloc would keep
#endif
  return result;
}

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json, std::string_view tokenizer_config_json,
                               const std::string& source) {
  const detail::ModelFile file = detail::parse_model_file(tokenizer_json, source);
  const std::string config_source = "tokenizer_config.json beside " + source;
  const detail::Json config = detail::parse_object(tokenizer_config_json, config_source);
  return Tokenizer(
      std::make_shared<const Parts>(file, Fields(file.json, source), Fields(config, config_source)));
}

std::vector<std::int64_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<std::int64_t> ids;
  const auto& [before, after] = parts_->post_processor;
  if (options.add_special_tokens) ids = before;
  if (detail::is_valid_utf8(text)) {
    parts_->encode_text(text, ids);
  } else {
    std::string valid;
    detail::append_valid(text, true, valid);
    parts_->encode_text(valid, ids);
  }
  if (options.add_special_tokens) ids.insert(ids.end(), after.begin(), after.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int64_t> ids, DecodeOptions options) const {
  std::string bytes, text;
  for (const std::int64_t id : ids) {
    if (!(options.skip_special_tokens && is_special(id))) bytes += token_bytes(id);
  }
  if (detail::is_valid_utf8(bytes)) return bytes;
  detail::append_valid(bytes, true, text);
  return text;
}

std::string_view Tokenizer::token_bytes(std::int64_t id) const {
  return id >= 0 && id < size() ? parts_->bytes[static_cast<std::size_t>(id)] : std::string_view();
}

std::optional<std::int64_t> Tokenizer::id_of(std::string_view token) const {
  if (const auto found = parts_->added.all().find(token); found != parts_->added.all().end())
    return found->second.id;
  return parts_->bpe.id_of(token);
}

bool Tokenizer::is_special(std::int64_t id) const {
  return id >= 0 && id < size() && parts_->specials[static_cast<std::size_t>(id)];
}

std::int64_t Tokenizer::size() const {
  return static_cast<std::int64_t>(parts_->bytes.size());
}
std::optional<std::int64_t> Tokenizer::bos_id() const {
  return parts_->special.bos;
}
std::optional<std::int64_t> Tokenizer::eos_id() const {
  return parts_->special.eos;
}
std::optional<std::int64_t> Tokenizer::pad_id() const {
  return parts_->special.pad;
}

}  // namespace graft
