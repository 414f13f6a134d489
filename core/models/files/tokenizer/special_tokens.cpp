#include "tokenizer/special_tokens.h"

#include <algorithm>
#include <charconv>

namespace graft::detail {
namespace {

// The reference implementation does not read an added token's id: a token of the vocabulary has its id there,
// and others are numbered on from the vocabulary's size.
Id id_by_order(const std::string& content, const Bpe& bpe, const AddedTokens& added) {
  if (const auto known = added.all().find(content); known != added.all().end()) return known->second.id;
  if (const auto id = bpe.id_of(content)) return *id;
  auto next = static_cast<Id>(bpe.vocabulary().size());
  for (const auto& [other, token] : added.all()) next = std::max(next, token.id + 1);
  return next;
}

void add(const Fields& json, std::int64_t listed_id, const Bpe& bpe, AddedTokens& added) {
  AddedToken token;
  token.content = json.text("content");
  token.id = id_by_order(token.content, bpe, added);
  if (token.id != listed_id) {
    throw Error(ErrorCode::corrupt, json.source(),
                "lists \"" + token.content + "\" as id " + std::to_string(listed_id) +
                    "; by its place it is " + std::to_string(token.id),
                "save the tokenizer again with the tokenizers package");
  }
  token.special = json.boolean("special", false);
  token.single_word = json.boolean("single_word", false);
  token.lstrip = json.boolean("lstrip", false);
  token.rstrip = json.boolean("rstrip", false);
  token.normalized = json.boolean("normalized", !token.special);
  added.add(std::move(token));
}

std::int64_t parse_id(const Fields& fields, const std::string& text) {
  std::int64_t id = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) fields.fail(text, "is not a token id");
  return id;
}

}  // namespace

void read_added_tokens(const Fields& tokenizer, const Fields& config, const Bpe& bpe, AddedTokens& added) {
  if (tokenizer.has("added_tokens")) {
    for (const Json& each : tokenizer.array("added_tokens")) {
      const Fields token(each, tokenizer.source() + ", \"added_tokens\"");
      const auto id = token.integer("id");
      if (!id) token.fail("id", "is missing");
      add(token, *id, bpe, added);
    }
  }
  if (config.has("added_tokens_decoder")) {
    const Fields decoder = config.object("added_tokens_decoder");
    for (const auto& [id, token] : decoder.items())
      add(decoder.object(id), parse_id(decoder, id), bpe, added);
  }
  for (const char* key : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
    const auto text = special_token_text(config, key);
    if (!text || added.all().count(*text)) continue;
    if (const auto id = bpe.id_of(*text)) {
      added.add({.content = *text, .id = *id, .normalized = false, .special = true});
    }
  }
}

std::optional<std::string> special_token_text(const Fields& config, const std::string& key) {
  const Json* value = config.find(key);
  if (!value) return std::nullopt;
  return value->is_object() ? config.object(key).text("content") : config.text(key);
}

SpecialTokenIds read_special_token_ids(const Fields& config, const Bpe& bpe, const AddedTokens& added) {
  const auto id_of = [&](const char* key) -> std::optional<std::int64_t> {
    const auto text = special_token_text(config, key);
    if (!text) return std::nullopt;
    if (const auto found = added.all().find(*text); found != added.all().end()) return found->second.id;
    return bpe.id_of(*text);
  };
  return {.bos = id_of("bos_token"), .eos = id_of("eos_token"), .pad = id_of("pad_token")};
}

}  // namespace graft::detail
