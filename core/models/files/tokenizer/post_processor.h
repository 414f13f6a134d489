// tokenizer.json's "post_processor": the special tokens around a text.
#pragma once

#include <cstdint>
#include <vector>

#include "json_text.h"

namespace graft::detail {

/// Immutable; thread-safe. For one sequence; templates for pairs are not used.
struct PostProcessor {
  std::vector<std::int64_t> before, after;

  PostProcessor() = default;
  /// Errors: unsupported, corrupt.
  explicit PostProcessor(const Fields& json) { add(json); }

 private:
  void add(const Fields& json);
  void add_template(const Fields& json);
};

}  // namespace graft::detail
