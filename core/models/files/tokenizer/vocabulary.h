// Tokens as tokenizer.json writes them, and their ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "tokenizer/hash_slots.h"
#include "tokenizer/model_file.h"
#include "tokenizer/string_list.h"

namespace graft::detail {

/// An open-addressing hash table of places in a list; thread-safe once it is filled.
class Vocabulary {
 public:
  /// Of two tokens of one name the later counts.
  explicit Vocabulary(const TokenList& tokens = {}) : slots_(slots_for(tokens.ids.size()), empty) {
    names_.reserve(tokens.ids.size());
    ids_.reserve(tokens.ids.size());
    for (std::size_t i = 0; i < tokens.ids.size(); ++i) {
      const std::string_view name = tokens.names[i];
      const Id id = tokens.ids[i];
      std::int32_t& slot = slots_[slot_of(name)];
      if (slot == empty) {
        slot = static_cast<std::int32_t>(ids_.size());
        names_.push_back(name);
        ids_.push_back(id);
      } else {
        ids_[static_cast<std::size_t>(slot)] = id;
      }
    }
    names_.shrink_to_fit();
  }

  std::size_t size() const { return ids_.size(); }
  std::string_view name(std::size_t i) const { return names_[i]; }
  Id id(std::size_t i) const { return ids_[i]; }

  /// Its place among the names.
  std::optional<std::size_t> find(std::string_view name) const {
    const std::int32_t slot = slots_[slot_of(name)];
    return slot == empty ? std::nullopt : std::optional(static_cast<std::size_t>(slot));
  }
  std::optional<Id> id_of(std::string_view name) const {
    const auto place = find(name);
    return place ? std::optional(id(*place)) : std::nullopt;
  }

 private:
  static constexpr std::int32_t empty = -1;

  std::size_t slot_of(std::string_view name) const {
    return find_slot(std::hash<std::string_view>{}(name), slots_.size(), [&](std::size_t at) {
      return slots_[at] == empty || names_[static_cast<std::size_t>(slots_[at])] == name;
    });
  }

  StringList names_;
  std::vector<Id> ids_;
  std::vector<std::int32_t> slots_;
};

}  // namespace graft::detail
