#include "json_text.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <unordered_set>
#include <vector>

namespace graft::detail {
namespace {

constexpr const char* redownload = "download the file again or ask its publisher";

/// Looked for before parsing: nlohmann's parser asks a callback for every value, which takes half as long again.
bool nested_too_deep(std::string_view text) {
  int depth = 0;
  bool in_text = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\') {
      ++i;  // outside of texts it is no JSON anyway
    } else if (c == '"') {
      in_text = !in_text;
    } else if (!in_text && (c == '{' || c == '[')) {
      if (++depth > max_json_depth) return true;
    } else if (!in_text && (c == '}' || c == ']')) {
      --depth;
    }
  }
  return false;
}

}  // namespace

std::string read_text(const std::filesystem::path& path, std::size_t limit) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    throw Error(ErrorCode::not_found, path.string(), "no such file", "check the model's folder");
  }
  if (std::filesystem::is_directory(status)) {
    throw Error(ErrorCode::io, path.string(), "is a folder, not a file", "check the model's folder");
  }
  std::ifstream file(path, std::ios::binary);
  std::string text;
  std::size_t chunk = std::size_t{8} << 10;  // most files are small
  while (file && text.size() <= limit) {
    const std::size_t had = text.size();
    text.resize(had + chunk);
    file.read(text.data() + had, static_cast<std::streamsize>(chunk));
    text.resize(had + static_cast<std::size_t>(file.gcount()));
    chunk = std::min(2 * chunk, std::size_t{1} << 20);
  }
  if (text.size() > limit) {
    throw Error(ErrorCode::corrupt, path.string(), "larger than " + std::to_string(limit >> 20) + " MiB",
                redownload);
  }
  if (!file.eof()) {
    throw Error(ErrorCode::io, path.string(), "cannot be read", "check its permissions");
  }
  return text;
}

std::optional<std::string> read_text_if_there(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  return read_text(path);
}

Json parse_json(std::string_view text, const std::string& source, DuplicateKeys duplicates) {
  const auto fail = [&](const std::string& why) { throw Error(ErrorCode::corrupt, source, why, redownload); };
  if (nested_too_deep(text)) fail("JSON nested deeper than " + std::to_string(max_json_depth));
  std::vector<std::unordered_set<std::string>> keys;
  const auto check = [&](int, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(parsed.get_ref<const std::string&>()).second) {
      fail("duplicate key \"" + parsed.get_ref<const std::string&>() + '"');
    }
    return true;
  };
  Json json;
  try {
    json = duplicates == DuplicateKeys::refused ? Json::parse(text, check) : Json::parse(text);
  } catch (const Json::exception& error) {
    fail(std::string("not valid JSON: ") + error.what());
  }
  return json;
}

Json parse_object(std::string_view text, const std::string& source, DuplicateKeys duplicates) {
  Json json = parse_json(text, source, duplicates);
  if (!json.is_object()) throw Error(ErrorCode::corrupt, source, "not a JSON object", redownload);
  return json;
}

Fields::Fields(const Json& object, std::string source) : object_(&object), source_(std::move(source)) {
  if (!object.is_object()) throw Error(ErrorCode::corrupt, source_, "not a JSON object", redownload);
}

void Fields::fail(const std::string& key, const std::string& why) const {
  throw Error(ErrorCode::corrupt, source_, '"' + key + "\" " + why, redownload);
}

const Json* Fields::find(const std::string& key) const {
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

std::string Fields::text(const std::string& key) const {
  auto value = optional_text(key);
  if (!value) fail(key, "is missing");
  return *std::move(value);
}

std::optional<std::string> Fields::optional_text(const std::string& key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_string()) fail(key, "is not a string");
  return value->get<std::string>();
}

bool Fields::boolean(const std::string& key, bool otherwise) const {
  const Json* value = find(key);
  if (!value) return otherwise;
  if (!value->is_boolean()) fail(key, "is neither true nor false");
  return value->get<bool>();
}

std::optional<double> Fields::number(const std::string& key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_number()) fail(key, "is not a number");
  const double number = value->get<double>();
  if (!std::isfinite(number)) fail(key, "is not a finite number");
  return number;
}

std::optional<std::int64_t> Fields::integer(const std::string& key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  constexpr std::uint64_t limit = std::uint64_t{1} << 62;
  if (!value->is_number_integer()) fail(key, "is not a whole number");
  if (value->is_number_unsigned() && value->get<std::uint64_t>() > limit) fail(key, "is too large");
  return value->get<std::int64_t>();
}

const Json& Fields::array(const std::string& key) const {
  const Json* value = find(key);
  if (!value) fail(key, "is missing");
  if (!value->is_array()) fail(key, "is not a list");
  return *value;
}

Fields Fields::object(const std::string& key) const {
  const Json* value = find(key);
  if (!value) fail(key, "is missing");
  if (!value->is_object()) fail(key, "is not an object");
  return Fields(*value, source_ + ", \"" + key + '"');
}

}  // namespace graft::detail
