// tokenizer.json's "model": byte pair encoding of one word at a time.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json_text.h"
#include "tokenizer/merge_table.h"
#include "tokenizer/model_file.h"
#include "tokenizer/vocabulary.h"
#include "tokenizer/word_cache.h"

namespace graft::detail {

/// Thread-safe after construction; the cache locks for itself.
class Bpe {
 public:
  /// `json` is the file's "model". Errors: unsupported (another model type, byte_fallback, dropout, prefixes
  /// and suffixes), corrupt (ids out of range, a merge of tokens that are not in the vocabulary).
  Bpe(const Fields& json, const ModelFile& file);

  /// Appends the ids of `word`, raw bytes. Bytes without a token become unk_token, or nothing if there is
  /// none.
  void encode(std::string_view word, std::vector<std::int64_t>& ids) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  std::optional<Id> id_of(std::string_view token) const { return vocabulary_.id_of(token); }

 private:
  void read_vocabulary(const Fields& json, const ModelFile& file);
  void read_merges(const Fields& json, const ModelFile& file);
  std::vector<Id> symbols_of(std::string_view word) const;
  std::vector<Id> merge(std::vector<Id> symbols) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  std::array<Id, 256> byte_ids_{};  // no_id: the vocabulary lacks this byte
  std::optional<Id> unknown_;
  bool fuse_unknown_ = false;
  bool ignore_merges_ = false;
  mutable WordCache cache_;
};

}  // namespace graft::detail
