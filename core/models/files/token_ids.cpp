#include "token_ids.h"

namespace graft::detail {

std::optional<std::int64_t> token_id(const Fields& fields, const std::string& key) {
  const auto id = fields.integer(key);
  return id && *id >= 0 ? id : std::nullopt;
}

std::vector<std::int64_t> token_ids(const Fields& fields, const std::string& key) {
  const Json* value = fields.find(key);
  if (!value) return {};
  std::vector<std::int64_t> ids;
  if (!value->is_array()) {
    if (const auto id = token_id(fields, key)) ids.push_back(*id);
    return ids;
  }
  for (const Json& id : *value) {
    const Json one{{key, id}};
    if (const auto valid = token_id(Fields(one, fields.source()), key)) ids.push_back(*valid);
  }
  return ids;
}

}  // namespace graft::detail
