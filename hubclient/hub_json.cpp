#include "hub_json.h"

#include <algorithm>

#include "graft/error.h"
#include "json_text.h"

namespace graft {
namespace {

using detail::Fields;
using detail::Json;

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 44;  // 16 TiB: more is a mistake or an attack

std::string checked_hex(const Fields& fields, const std::string& key, std::size_t digits) {
  std::string text = fields.text(key);
  if (!is_hex(text, digits)) fields.fail(key, "is not " + std::to_string(digits) + " hex digits");
  return text;
}

std::uint64_t checked_size(const Fields& fields, const std::string& key) {
  auto size = fields.integer(key);
  if (!size || *size < 0 || static_cast<std::uint64_t>(*size) > kMaxFileBytes)
    fields.fail(key, "is no size of a file");
  return static_cast<std::uint64_t>(*size);
}

/// A name that becomes a path in the cache.
void check_name(const Fields& fields, const std::string& key, const std::string& name) {
  try {
    check_inside(name);
  } catch (const Error& e) {
    fields.fail(key, "is \"" + name.substr(0, name.find('\0')) + "\", which " + e.why());
  }
  if (name.empty()) fields.fail(key, "is empty");
}

std::map<std::string, std::string> parse_ref_list(const Fields& root, const std::string& key) {
  std::map<std::string, std::string> refs;
  for (const Json& item : root.array(key)) {
    Fields ref(item, root.source() + ", \"" + key + '"');
    std::string name = ref.text("name");
    check_name(ref, "name", name);
    refs.emplace(name, checked_hex(ref, "targetCommit", 40));
  }
  return refs;
}

/// One that is none counts as absent: the file is then downloaded as any other.
std::string xet_hash(const Fields& entry, const std::string& key) {
  std::string hash = entry.optional_text(key).value_or("");
  return is_hex(hash, 64) ? hash : "";
}

void sort_by_path(std::vector<HubFile>& files) {
  std::sort(files.begin(), files.end(), [](const HubFile& a, const HubFile& b) { return a.path < b.path; });
}

}  // namespace

bool is_hex(std::string_view text, std::size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

Refs parse_refs(std::string_view text, const std::string& source) {
  const Json json = detail::parse_object(text, source);
  Fields root(json, source);
  return {parse_ref_list(root, "tags"), parse_ref_list(root, "branches"), ""};
}

RepoInfo parse_info(std::string_view text, const std::string& source) {
  const Json json = detail::parse_object(text, source);
  Fields root(json, source);
  RepoInfo info;
  info.commit = checked_hex(root, "sha", 40);
  info.is_private = root.boolean("private", false);
  const Json* gated = root.find("gated");  // false, "auto" or "manual"
  info.gated = gated && !(gated->is_boolean() && !gated->get<bool>());
  info.last_modified = root.optional_text("lastModified").value_or("");
  return info;
}

std::vector<HubFile> parse_tree_page(std::string_view text, const std::string& source) {
  const Json json = detail::parse_json(text, source);
  if (!json.is_array()) throw Error(ErrorCode::corrupt, source, "is no list of files", "check HF_ENDPOINT");
  std::vector<HubFile> files;
  for (const Json& item : json) {
    Fields entry(item, source);
    HubFile file;
    file.path = entry.text("path");
    check_name(entry, "path", file.path);
    if (entry.type() != "file") continue;
    file.size = checked_size(entry, "size");
    file.oid = checked_hex(entry, "oid", 40);
    if (entry.has("lfs")) {
      Fields lfs = entry.object("lfs");
      file.sha256 = checked_hex(lfs, "oid", 64);
      file.size = checked_size(lfs, "size");
    }
    file.xet_hash = xet_hash(entry, "xetHash");
    files.push_back(std::move(file));
  }
  return files;
}

std::string format_tree_cache(const std::vector<HubFile>& files) {
  Json json = {{"format_version", 1}, {"files", Json::object()}};
  for (const HubFile& file : files) {
    Json entry = {{"size", file.size}, {"blob_id", file.oid}};
    if (!file.sha256.empty()) {
      entry["lfs_sha256"] = file.sha256;
      entry["lfs_size"] = file.size;
    }
    if (!file.xet_hash.empty()) entry["xet_hash"] = file.xet_hash;
    json["files"][file.path] = std::move(entry);
  }
  return json.dump(1);
}

std::vector<HubFile> parse_tree_cache(std::string_view text, const std::string& source) {
  const Json json = detail::parse_object(text, source);
  Fields root(json, source);
  if (root.integer("format_version") != 1) root.fail("format_version", "is not 1");
  std::vector<HubFile> files;
  for (const auto& [path, item] : root.object("files").items()) {
    Fields entry(item, source);
    check_name(entry, path, path);
    HubFile file{path, checked_size(entry, "size"), checked_hex(entry, "blob_id", 40)};
    if (entry.has("lfs_sha256")) {
      file.sha256 = checked_hex(entry, "lfs_sha256", 64);
      file.size = checked_size(entry, "lfs_size");
    }
    file.xet_hash = xet_hash(entry, "xet_hash");
    files.push_back(std::move(file));
  }
  sort_by_path(files);
  return files;
}

}  // namespace graft
