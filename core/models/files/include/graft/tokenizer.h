// Text to token ids and back, from a model's tokenizer.json. Source:
// https://github.com/huggingface/tokenizers; the ids are those of its Python package.
//
// Supported: byte-level BPE (GPT-2, Llama 3, SmolLM, Qwen …), that is
//   model          BPE (merges as strings or pairs, ignore_merges, unk_token)
//   normalizer     none, NFC, NFD, NFKC, NFKD, Sequence
//   pre_tokenizer  Split, Digits, Sequence, with ByteLevel last
//   post_processor none, ByteLevel, TemplateProcessing, Sequence
//   decoder        ByteLevel
// Anything else is refused with an error that names it. Truncation and padding settings are left to the
// caller.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

struct EncodeOptions {
  bool add_special_tokens = true;  // what post_processor adds, e.g. a bos token
};

struct DecodeOptions {
  bool skip_special_tokens = false;
};

/// A handle to an immutable tokenizer: cheap to copy, and every member may be called from any thread at once.
class Tokenizer {
 public:
  /// Reads tokenizer.json and, if it is there, tokenizer_config.json beside it (which tokens are special).
  /// Errors: not_found, io, corrupt (not the format), unsupported (a component outside the list above).
  static Tokenizer from_file(const std::filesystem::path& tokenizer_json);

  /// The same from text; `source` stands for the file in errors.
  static Tokenizer from_json(std::string_view tokenizer_json, std::string_view tokenizer_config_json = "{}",
                             const std::string& source = "tokenizer.json");

  /// Special tokens that stand in the text become their ids. Bytes that are not UTF-8 are read as U+FFFD, one
  /// for each maximal part, as Python's errors="replace" does.
  std::vector<std::int64_t> encode(std::string_view text, EncodeOptions options = {}) const;

  /// Always UTF-8: bytes that do not make characters become U+FFFD. Ids that no token has are left out.
  std::string decode(std::span<const std::int64_t> ids, DecodeOptions options = {}) const;

  /// The bytes one token stands for, which may be a part of a character; empty for an unknown id.
  std::string_view token_bytes(std::int64_t id) const;

  std::optional<std::int64_t> id_of(std::string_view token) const;  // as tokenizer.json spells it: "Ġthe"
  bool is_special(std::int64_t id) const;
  /// One more than the highest id. A model's vocab_size may be larger, being rounded up.
  std::int64_t size() const;

  /// From tokenizer_config.json; absent if it names none, or one without an id.
  std::optional<std::int64_t> bos_id() const;
  std::optional<std::int64_t> eos_id() const;
  std::optional<std::int64_t> pad_id() const;

  struct Parts;

 private:
  explicit Tokenizer(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}
  std::shared_ptr<const Parts> parts_;
};

}  // namespace graft
