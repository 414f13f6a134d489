#include "seen_versions.h"

#include <algorithm>

#include "graft/error.h"
#include "graft/hash.h"
#include "graft/version.h"
#include "json_text.h"
#include "log.h"
#include "state_file.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

using detail::Fields;
using detail::Json;

/// "v1.2.0" stays what it is; "v1", a version branch of HF kernels, moves along.
bool is_tag(const std::string& revision) {
  auto version = Version::parse(revision);
  return version && version->size() >= 2;
}

/// Of a fixed revision nothing can be rolled back but its bytes.
bool may_choose(const SeenVersion& version) {
  return version.asked.empty() || VersionRange::is_range(version.asked);
}

Json read(const fs::path& file) {
  auto text = detail::read_text_if_there(file);
  if (!text) return Json::object();
  Json json = detail::parse_object(*text, file.string(), detail::DuplicateKeys::refused);
  for (const char* group : {"highest", "tags"})
    for (const auto& [name, value] : Fields(json, file.string()).object(group).items())
      if (!value.is_string()) throw Error(ErrorCode::corrupt, file.string(), "\"" + name + "\" is no text", "remove the file");
  return json;
}

std::string field(const Json& json, const char* group, const std::string& name) {
  auto found = json.find(group);
  if (found == json.end()) return {};
  auto value = found->find(name);
  return value == found->end() ? "" : value->get<std::string>();
}

}  // namespace

fs::path SeenVersions::file_of(const SeenVersion& version) const {
  Hasher hasher("sha256");
  hasher.update(version.endpoint);
  std::string name = version.repo;
  std::replace(name.begin(), name.end(), '/', '_');
  return folder_ / "seen" / (name + "-" + to_hex(hasher.finish()).substr(0, 16) + ".json");
}

void SeenVersions::check(const SeenVersion& now, TrustDecision& decision) const {
  if (folder_.empty()) return;
  const Json json = read(file_of(now));
  auto refuse = [&](const std::string& why) {
    decision.rule = "remember_versions";
    throw Error(ErrorCode::untrusted, "kernel " + now.repo + (now.asked.empty() ? "" : "@" + now.asked), why,
                "if this is meant, accept it: graft trust accept " + now.repo + (now.asked.empty() ? "" : "@" + now.asked));
  };
  std::string highest = field(json, "highest", now.asked), commit = field(json, "tags", now.revision);
  auto before = Version::parse(highest), version = Version::parse(now.revision);
  if (may_choose(now) && before && (!version || *version < *before))
    refuse("comes to " + now.revision + " now, and " + highest + " has run here: the Hub may hold back newer versions");
  if (is_tag(now.revision) && !commit.empty() && commit != now.commit)
    refuse("its tag " + now.revision + " names commit " + now.commit.substr(0, 12) + " now, and named " +
           commit.substr(0, 12) + " when it ran here");
}

void SeenVersions::remember(const SeenVersion& now) const {
  if (folder_.empty()) return;
  if (!Version::parse(now.revision)) return;
  fs::path file = file_of(now);
  Json json;
  try {
    json = read(file);
  } catch (const Error&) {  // the user accepts what is there now
  }
  if (field(json, "highest", now.asked) == now.revision && field(json, "tags", now.revision) == now.commit) return;
  json["repo"] = now.repo;
  json["endpoint"] = now.endpoint;
  for (const char* group : {"highest", "tags"})
    if (!json.contains(group)) json[group] = Json::object();
  if (may_choose(now)) json["highest"][now.asked] = now.revision;
  if (is_tag(now.revision)) json["tags"][now.revision] = now.commit;

  if (!write_state_file(file, json.dump(2) + "\n")) log(LogLevel::debug, now.repo, "its version cannot be remembered");
}

}  // namespace graft
