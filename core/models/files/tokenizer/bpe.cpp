#include "tokenizer/bpe.h"

#include <queue>

#include "tokenizer/byte_level.h"

namespace graft::detail {
namespace {

constexpr Id no_id = -1;

using Pair = std::pair<std::string_view, std::string_view>;

// Left and right token of one merge, written as "a b".
Pair parse_merge(const Fields& json, std::string_view text) {
  const std::size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
    json.fail("merges", "holds something that is not a pair of tokens: " + Json(text).dump().substr(0, 80));
  }
  return {text.substr(0, space), text.substr(space + 1)};
}

// The same, or written as ["a", "b"].
Pair parse_merge(const Fields& json, const Json& merge) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>()};
  }
  if (merge.is_string()) return parse_merge(json, std::string_view(merge.get_ref<const std::string&>()));
  json.fail("merges", "holds something that is not a pair of tokens: " + merge.dump().substr(0, 80));
}

}  // namespace

Bpe::Bpe(const Fields& json, const ModelFile& file) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorCode::unsupported, json.source(), what + " is not supported",
                "use a model with a byte-level BPE tokenizer");
  };
  // Files older than the "type" field hold BPE if they hold merges.
  const std::string type = json.optional_text("type").value_or(json.has("merges") ? "BPE" : "none");
  if (type != "BPE") refuse("model \"" + type + '"');
  if (json.boolean("byte_fallback", false)) refuse("BPE with byte_fallback");
  if (json.number("dropout").value_or(0) != 0) refuse("BPE with dropout");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!json.optional_text(key).value_or("").empty()) refuse(std::string("BPE with ") + key);
  }
  ignore_merges_ = json.boolean("ignore_merges", false);
  fuse_unknown_ = json.boolean("fuse_unk", false);
  read_vocabulary(json, file);
  read_merges(json, file);
  if (const auto token = json.optional_text("unk_token")) {
    unknown_ = id_of(*token);
    if (!unknown_) json.fail("unk_token", "is not in the vocabulary");
  }
}

void Bpe::read_vocabulary(const Fields& json, const ModelFile& file) {
  const Fields vocabulary = json.object("vocab");
  for (const auto& [token, id] : vocabulary.items())
    vocabulary.fail(token, "has no id between 0 and " + std::to_string(highest_id));
  vocabulary_ = Vocabulary(file.vocabulary);
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    byte_ids_[byte] = id_of(character_of_byte(static_cast<std::uint8_t>(byte))).value_or(no_id);
  }
}

void Bpe::read_merges(const Fields& json, const ModelFile& file) {
  std::vector<MergeTable::Merge> merges;
  const Json& unusual = json.array("merges");
  merges.reserve(file.merges.size() + unusual.size());
  // Merges mostly make the vocabulary's tokens one after another: the next one needs no search.
  auto made_of = [this, next = std::size_t{0}, both = std::string()](std::string_view left,
                                                                     std::string_view right) mutable {
    const std::string_view likely = next < vocabulary_.size() ? vocabulary_.name(next) : "";
    const bool found =
        likely.size() == left.size() + right.size() && likely.starts_with(left) && likely.ends_with(right);
    const auto place = found ? std::optional(next) : vocabulary_.find(both.assign(left).append(right));
    if (place) next = *place + 1;
    return place ? std::optional(vocabulary_.id(*place)) : std::nullopt;
  };
  const auto add = [&](const Pair& merge) {
    const auto [left, right] = merge;
    const auto left_id = id_of(left), right_id = id_of(right), result = made_of(left, right);
    if (!left_id || !right_id || !result) {
      json.fail("merges", "merges \"" + std::string(left) + "\" and \"" + std::string(right) +
                              "\", which are not all in the vocabulary");
    }
    merges.push_back({*left_id, *right_id, static_cast<std::int32_t>(merges.size()), *result});
  };
  for (std::size_t i = 0; i < file.merges.size(); ++i) {
    if (!file.merges[i].starts_with("#version")) add(parse_merge(json, file.merges[i]));
  }
  for (const Json& merge : unusual) {
    if (!merge.is_string() || !merge.get_ref<const std::string&>().starts_with("#version"))
      add(parse_merge(json, merge));
  }
  merges_ = MergeTable(merges);
}

void Bpe::encode(std::string_view word, std::vector<std::int64_t>& ids) const {
  if (cache_.append(word, ids)) return;
  std::vector<Id> result;
  const auto whole = ignore_merges_ ? id_of(token_of_bytes(word)) : std::nullopt;
  if (whole) {
    result.push_back(*whole);
  } else {
    result = merge(symbols_of(word));
  }
  cache_.remember(word, result);
  ids.insert(ids.end(), result.begin(), result.end());
}

std::vector<Id> Bpe::symbols_of(std::string_view word) const {
  std::vector<Id> symbols;
  symbols.reserve(word.size());
  bool after_unknown = false;
  for (const char byte : word) {
    const Id id = byte_ids_[static_cast<std::uint8_t>(byte)];
    if (id != no_id) {
      symbols.push_back(id);
    } else if (unknown_ && !(fuse_unknown_ && after_unknown)) {
      symbols.push_back(*unknown_);
    }
    after_unknown = id == no_id && (unknown_ || after_unknown);
  }
  return symbols;
}

// Merges the pair of lowest rank, leftmost first, until no pair merges. The queue may hold pairs that merged
// away since; they are told by the token their positions would give now, as the reference implementation
// tells them.
std::vector<Id> Bpe::merge(std::vector<Id> symbols) const {
  struct Links {
    std::int32_t previous, next;  // -1: none
  };
  struct Candidate {
    std::int32_t rank, position, result;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };
  const auto count = static_cast<std::int32_t>(symbols.size());
  std::vector<Links> links(symbols.size());
  std::vector<Candidate> storage;
  storage.reserve(symbols.size());
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue({}, std::move(storage));
  const auto consider = [&](std::int32_t left, std::int32_t right) {
    if (const auto* found =
            merges_.find(symbols[static_cast<std::size_t>(left)], symbols[static_cast<std::size_t>(right)])) {
      queue.push({found->rank, left, found->result});
    }
  };
  for (std::int32_t i = 0; i < count; ++i) {
    links[static_cast<std::size_t>(i)] = {i - 1, i + 1 < count ? i + 1 : -1};
    if (i + 1 < count) consider(i, i + 1);
  }

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    const auto left = static_cast<std::size_t>(best.position);
    if (symbols[left] == no_id || links[left].next < 0) continue;
    const auto right = static_cast<std::size_t>(links[left].next);
    const auto* now = merges_.find(symbols[left], symbols[right]);
    if (!now || now->result != best.result) continue;

    symbols[left] = best.result;
    symbols[right] = no_id;
    links[left].next = links[right].next;
    if (links[left].next >= 0) {
      links[static_cast<std::size_t>(links[left].next)].previous = best.position;
      consider(best.position, links[left].next);
    }
    if (links[left].previous >= 0) consider(links[left].previous, best.position);
  }
  std::erase(symbols, no_id);
  return symbols;
}

}  // namespace graft::detail
