#include "tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <map>

namespace graft::detail {
namespace {

// GPT-2's, which ByteLevel uses in every tokenizer.
constexpr std::string_view byte_level_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

[[noreturn]] void refuse(const Fields& json, const std::string& what) {
  throw Error(ErrorCode::unsupported, json.source(), what + " is not supported",
              "use a model with a byte-level BPE tokenizer");
}

}  // namespace

PreTokenizer::PreTokenizer(const Fields& json) {
  add(json);
  if (!ends_in_byte_level_) refuse(json, "a pre_tokenizer that does not end in ByteLevel");
}

void PreTokenizer::add(const Fields& json) {
  if (ends_in_byte_level_) refuse(json, "a pre_tokenizer after ByteLevel");
  const std::string type = json.type();
  if (type == "Sequence") {
    for (const Json& part : json.array("pretokenizers")) add(Fields(part, json.source()));
  } else if (type == "ByteLevel") {
    ends_in_byte_level_ = true;
    add_prefix_space_ = json.boolean("add_prefix_space", true);
    if (json.boolean("use_regex", true)) {
      byte_level_.push_back({Regex::oniguruma(byte_level_pattern, json.source()), Behavior::isolated, false});
    }
  } else if (type == "Digits") {
    const bool individual = json.boolean("individual_digits", false);
    splitters_.push_back({Regex::oniguruma(R"(\p{N})", json.source()),
                          individual ? Behavior::isolated : Behavior::contiguous, false});
  } else if (type == "Split") {
    const Fields pattern = json.object("pattern");
    const bool is_regex = pattern.has("Regex");
    const std::string text = pattern.text(is_regex ? "Regex" : "String");
    splitters_.push_back(
        {is_regex ? Regex::oniguruma(text, json.source()) : Regex::literal(text, json.source()),
         parse_behavior(json), json.boolean("invert", false)});
  } else {
    refuse(json, "pre_tokenizer \"" + type + '"');
  }
}

PreTokenizer::Behavior PreTokenizer::parse_behavior(const Fields& json) {
  static const std::map<std::string, Behavior> behaviors{
      {"Removed", Behavior::removed},
      {"Isolated", Behavior::isolated},
      {"MergedWithPrevious", Behavior::merged_with_previous},
      {"MergedWithNext", Behavior::merged_with_next},
      {"Contiguous", Behavior::contiguous}};
  const std::string text = json.text("behavior");
  const auto found = behaviors.find(text);
  if (found == behaviors.end()) refuse(json, "Split behavior \"" + text + '"');
  return found->second;
}

std::vector<PreTokenizer::Piece> PreTokenizer::cut(const Splitter& splitter, std::string_view text) {
  std::vector<Piece> pieces;
  std::size_t reached = 0;
  for (const Match& match : splitter.regex.find_all(text)) {
    if (reached != match.begin) pieces.push_back({reached, match.begin, splitter.invert});
    pieces.push_back({match.begin, match.end, !splitter.invert});
    reached = match.end;
  }
  if (reached != text.size()) pieces.push_back({reached, text.size(), splitter.invert});
  return pieces;
}

std::vector<PreTokenizer::Piece> PreTokenizer::arrange(Behavior behavior, const std::vector<Piece>& pieces) {
  std::vector<Piece> result;
  bool previous = false;
  const auto merge_or_add = [&](const Piece& piece, bool merge) {
    if (merge && !result.empty()) {
      result.back().begin = std::min(result.back().begin, piece.begin);
      result.back().end = std::max(result.back().end, piece.end);
    } else {
      result.push_back(piece);
    }
    previous = piece.matched;
  };
  if (behavior == Behavior::merged_with_next) {
    for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
      merge_or_add(*piece, piece->matched && !previous);
    }
    std::reverse(result.begin(), result.end());
  } else {
    for (const Piece& piece : pieces) {
      merge_or_add(piece,
                   behavior == Behavior::contiguous ? piece.matched == previous : piece.matched && !previous);
    }
  }
  return result;
}

void PreTokenizer::apply(const Splitter& splitter, std::string_view text,
                         std::vector<std::string_view>& words) {
  std::vector<Piece> pieces = cut(splitter, text);
  const bool merges = splitter.behavior != Behavior::isolated && splitter.behavior != Behavior::removed;
  if (merges) pieces = arrange(splitter.behavior, pieces);
  for (const Piece& piece : pieces) {
    const bool removed = splitter.behavior == Behavior::removed && piece.matched;
    if (!removed && piece.begin != piece.end)
      words.push_back(text.substr(piece.begin, piece.end - piece.begin));
  }
}

void PreTokenizer::split(std::string_view text, const std::function<void(std::string_view)>& word) const {
  std::vector<std::string_view> pieces{text}, next;
  for (const Splitter& splitter : splitters_) {
    next.clear();
    for (const std::string_view piece : pieces) apply(splitter, piece, next);
    pieces.swap(next);
  }
  std::string prefixed;
  for (std::string_view piece : pieces) {
    if (add_prefix_space_ && !piece.starts_with(' ')) {
      prefixed = " ";
      prefixed += piece;
      piece = prefixed;
    }
    if (byte_level_.empty()) {
      word(piece);
      continue;
    }
    next.clear();
    apply(byte_level_.front(), piece, next);
    for (const std::string_view each : next) word(each);
  }
}

}  // namespace graft::detail
