// Special token ids, which config.json and generation_config.json write the same way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "json_text.h"

namespace graft::detail {

/// Negative ids, which some publishers write for "none", count as absent.
std::optional<std::int64_t> token_id(const Fields& fields, const std::string& key);

/// One id or a list of ids; empty if absent.
std::vector<std::int64_t> token_ids(const Fields& fields, const std::string& key);

}  // namespace graft::detail
