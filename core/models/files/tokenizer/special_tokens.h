// Which tokens are added and which are special: tokenizer.json and tokenizer_config.json both say.
#pragma once

#include <cstdint>
#include <optional>

#include "json_text.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"

namespace graft::detail {

struct SpecialTokenIds {
  std::optional<std::int64_t> bos, eos, pad;
};

/// Fills `added` from tokenizer.json's added_tokens, then from tokenizer_config.json's added_tokens_decoder,
/// whose flags win, then with the special tokens the latter names ("eos_token" …) if the vocabulary has them.
/// As in transformers. Errors: corrupt.
void read_added_tokens(const Fields& tokenizer, const Fields& config, const Bpe& bpe, AddedTokens& added);

SpecialTokenIds read_special_token_ids(const Fields& config, const Bpe& bpe, const AddedTokens& added);

/// "eos_token" in tokenizer_config.json: a string, or an object with "content".
std::optional<std::string> special_token_text(const Fields& config, const std::string& key);

}  // namespace graft::detail
