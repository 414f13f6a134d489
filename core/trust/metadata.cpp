#include "metadata.h"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "graft/error.h"
#include "graft/hub.h"

namespace graft {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 32;

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorCode::corrupt, "metadata.json", why, "pack the kernel again: graft pack");
}

/// nlohmann's parser takes a key twice (the last wins) and any depth; other readers of the same signed bytes
/// may take the first. Both are refused here, while parsing.
class Guard {
 public:
  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMaxDepth) refuse("is nested deeper than " + std::to_string(kMaxDepth));
    if (event == json::parse_event_t::object_start) keys_.emplace_back();
    if (event == json::parse_event_t::object_end) keys_.pop_back();
    if (event == json::parse_event_t::key && !keys_.back().insert(parsed.get<std::string>()).second)
      refuse("has the key \"" + parsed.get<std::string>() + "\" twice");
    return true;
  }

 private:
  std::vector<std::set<std::string>> keys_;
};

const json* find(const json& object, const char* key, json::value_t type, const char* type_name) {
  auto it = object.find(key);
  if (it == object.end() || it->is_null()) return nullptr;
  if (it->type() != type) refuse("its field \"" + std::string(key) + "\" is no " + type_name);
  return &*it;
}

}  // namespace

Metadata parse_metadata(std::string_view text) {
  if (text.size() > kMaxMetadataBytes) refuse("is larger than 4 MiB");
  json root;
  try {
    root = json::parse(text.begin(), text.end(), Guard());
  } catch (const json::exception& e) {
    refuse("is no valid JSON in UTF-8: " + std::string(e.what()));
  }
  if (!root.is_object()) refuse("is no JSON object");

  Metadata metadata;
  if (auto name = find(root, "name", json::value_t::string, "string"))
    metadata.name = name->get<std::string>();
  const json* digest = find(root, "digest", json::value_t::object, "object");
  if (!digest) return metadata;

  auto algorithm = find(*digest, "algorithm", json::value_t::string, "string");
  auto files = find(*digest, "files", json::value_t::object, "object");
  if (!algorithm || !files) refuse("its digest lacks \"algorithm\" or \"files\"");
  metadata.algorithm = algorithm->get<std::string>();
  if (metadata.algorithm != "sha256" && metadata.algorithm != "sha512")
    throw Error(ErrorCode::unsupported, "metadata.json",
                "its digest algorithm \"" + metadata.algorithm + "\" is unknown to this Graft",
                "pack the kernel with sha256 or sha512");
  for (const auto& [path, hash] : files->items()) {
    if (!hash.is_string()) refuse("the hash of \"" + path + "\" is no string");
    if (path.empty()) refuse("its digest names a file with an empty path");
    try {
      check_inside(path);
    } catch (const Error& e) {
      refuse("its digest names the file \"" + path + "\", which " + e.why());
    }
    metadata.files.emplace(path, hash.get<std::string>());
  }
  return metadata;
}

}  // namespace graft
