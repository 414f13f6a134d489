// JSON as it comes from a stranger, in a file or over a network: read whole, parsed within bounds, with errors that name the file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "graft/error.h"

namespace graft::detail {

using Json = nlohmann::json;

inline constexpr int max_json_depth = 64;

enum class DuplicateKeys { refused, last_wins };

/// The file's bytes. Errors: not_found, io, corrupt (larger than `limit` bytes).
std::string read_text(const std::filesystem::path& path, std::size_t limit = std::size_t{256} << 20);

/// nullopt if there is no such file; the other errors are read_text's.
std::optional<std::string> read_text_if_there(const std::filesystem::path& path);

/// The JSON in `text`. Errors: corrupt (malformed, not UTF-8, nested deeper than max_json_depth, duplicate keys if refused),
/// naming `source`.
Json parse_json(std::string_view text, const std::string& source,
                DuplicateKeys duplicates = DuplicateKeys::last_wins);

/// parse_json, of which anything but an object is an error too (corrupt).
Json parse_object(std::string_view text, const std::string& source,
                  DuplicateKeys duplicates = DuplicateKeys::last_wins);

/// One object of a JSON file, whose fields are asked for by name and type. A field that is there with another
/// type is an error (corrupt) that names the file and the field; null counts as absent.
class Fields {
 public:
  Fields(const Json& object, std::string source);

  const std::string& source() const { return source_; }
  const Json* find(const std::string& key) const;  // nullptr: absent or null
  bool has(const std::string& key) const { return find(key) != nullptr; }
  std::string type() const { return text("type"); }

  std::string text(const std::string& key) const;  // errors: corrupt if absent
  std::optional<std::string> optional_text(const std::string& key) const;
  bool boolean(const std::string& key, bool otherwise) const;
  std::optional<double> number(const std::string& key) const;  // finite
  std::optional<std::int64_t> integer(const std::string& key) const;
  const Json& array(const std::string& key) const;  // errors: corrupt if absent
  Fields object(const std::string& key) const;      // errors: corrupt if absent
  auto items() const { return object_->items(); }

  [[noreturn]] void fail(const std::string& key, const std::string& why) const;

 private:
  const Json* object_;
  std::string source_;
};

}  // namespace graft::detail
