// tokenizer.json's "normalizer": Unicode normal forms.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "json_text.h"

namespace graft::detail {

/// Immutable; thread-safe.
class Normalizer {
 public:
  Normalizer() = default;  // leaves text as it is
  /// Errors: unsupported, corrupt.
  explicit Normalizer(const Fields& json);

  bool does_nothing() const { return forms_.empty(); }
  /// `text` is valid UTF-8, and so is what comes back.
  std::string operator()(std::string_view text) const;

 private:
  void add(const Fields& json);
  std::vector<int> forms_;  // utf8proc options, applied in order
};

}  // namespace graft::detail
