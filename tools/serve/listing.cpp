// What the API says of a repo: its refs, its files, one page at a time.
#include <sys/stat.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <set>

#include "graft/error.h"
#include "graft/hash.h"
#include "http.h"
#include "refusal.h"
#include "service.h"

namespace graft::server {
namespace fs = std::filesystem;
namespace {

using nlohmann::ordered_json;

ServedReply json_reply(const ordered_json& value) {
  return {.body = value.dump(-1, ' ', false, ordered_json::error_handler_t::replace)};
}

/// A folder's time of change: "2026-01-31T12:00:00.000Z".
std::string date_of(const fs::path& folder) {
  struct stat status {};
  stat(folder.c_str(), &status);
  std::tm time{};
  gmtime_r(&status.st_mtime, &time);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000Z", &time);
  return text;
}

ordered_json ref_list(const std::map<std::string, std::string>& refs, const std::string& prefix) {
  ordered_json list = ordered_json::array();
  for (const auto& [name, commit] : refs)
    list.push_back({{"name", name}, {"ref", prefix + name}, {"targetCommit", commit}});
  return list;
}

/// {"oid", "size", "lfs"?} as a tree's listing names a file's content.
ordered_json content_of(FileHashes& hashes, const fs::path& folder, const HubFile& file) {
  if (!is_lfs(file.path, file.size))
    return {{"oid", hashes.git_sha1(folder / file.path)}, {"size", file.size}};
  std::string sha256 = hashes.sha256(folder / file.path), pointer = lfs_pointer(sha256, file.size);
  return {{"oid", git_blob_sha1(pointer)},
          {"size", file.size},
          {"lfs", {{"oid", sha256}, {"size", file.size}, {"pointerSize", pointer.size()}}}};
}

/// One line of a listing: a file, or a directory, which has no size.
struct Entry {
  HubFile file;
  bool is_directory = false;
};

/// The files below `prefix` and the directories that lead to them, or the direct children alone; sorted by
/// path.
std::vector<Entry> entries_below(const std::vector<HubFile>& files, const std::string& prefix,
                                 bool recursive) {
  std::vector<Entry> entries;
  std::set<std::string> directories;
  std::size_t top = prefix.empty() ? 0 : prefix.size() + 1;
  for (const HubFile& file : files) {
    std::size_t slash = file.path.find('/', top);
    for (; slash != file.path.npos; slash = recursive ? file.path.find('/', slash + 1) : file.path.npos)
      directories.insert(file.path.substr(0, slash));
    if (recursive || file.path.find('/', top) == file.path.npos) entries.push_back({file});
  }
  for (const std::string& directory : directories) entries.push_back({{directory, 0}, true});
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.file.path < b.file.path; });
  return entries;
}

/// Stands for git's tree hash, which needs every blob's: the same names and sizes give the same one.
std::string directory_oid(const std::vector<HubFile>& files, const std::string& directory) {
  Hasher hasher("sha1");
  for (const HubFile& file : files)
    if (file.path.starts_with(directory + "/"))
      hasher.update(file.path + " " + std::to_string(file.size) + "\n");
  return to_hex(hasher.finish());
}

bool is_true(const std::map<std::string, std::string>& query, const char* name) {
  auto found = query.find(name);
  return found != query.end() && (found->second == "true" || found->second == "True" || found->second == "1");
}

/// A number in the query behind `prefix`; `otherwise` if the name is not there.
std::size_t number(const std::map<std::string, std::string>& query, const std::string& name,
                   std::string_view prefix, std::size_t otherwise) {
  auto found = query.find(name);
  if (found == query.end()) return otherwise;
  std::string_view text = found->second;
  bool good = text.starts_with(prefix);
  if (good) text.remove_prefix(prefix.size());
  good = good && !text.empty() && text.size() <= 9 && text.find_first_not_of("0123456789") == text.npos;
  if (!good) throw Refusal{error_reply(400, "", "Invalid " + name)};
  return std::stoul(std::string(text));
}

}  // namespace

ServedReply Service::refs(const RepoId& repo) {
  Refs refs = repos_.refs(repo);
  return json_reply({{"branches", ref_list(refs.branches, "refs/heads/")},
                     {"converts", ordered_json::array()},
                     {"tags", ref_list(refs.tags, "refs/tags/")}});
}

ServedReply Service::info(const Route& route) {
  const RepoId& repo = route.repo;
  std::string commit =
      route.rest.empty() ? repos_.default_commit(repo) : repos_.find(repo, route.rest, false).commit;
  bool found_all = route.rest.empty() || repos_.find(repo, route.rest, false).path.empty();
  if (!found_all) throw revision_not_found(repo, join_path(route.rest.begin(), route.rest.end()));
  auto has = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), repo.name) != names.end();
  };
  fs::path folder = repos_.folder(repo, commit);
  ordered_json siblings = ordered_json::array();
  for (const HubFile& file : repos_.list(repo, commit, "")) {
    ordered_json sibling = {{"rfilename", file.path}};
    if (is_true(route.query, "blobs")) {
      ordered_json content = content_of(hashes_, folder, file);
      sibling["size"] = file.size;
      sibling["blobId"] = content["oid"];
      if (content.contains("lfs"))
        sibling["lfs"] = {{"sha256", content["lfs"]["oid"]},
                          {"size", file.size},
                          {"pointerSize", content["lfs"]["pointerSize"]}};
    }
    siblings.push_back(std::move(sibling));
  }
  ordered_json info = {{"_id", git_blob_sha1(repo.name).substr(0, 24)}, {"id", repo.name}};
  if (repo.kind == RepoKind::model) info["modelId"] = repo.name;
  info["author"] = repo.name.substr(0, repo.name.find('/'));
  info["sha"] = commit;
  info["lastModified"] = date_of(folder);
  info["createdAt"] = date_of(folder);
  info["private"] = has(options_.private_repos);
  info["gated"] = has(options_.gated_repos) ? ordered_json("manual") : ordered_json(false);
  info["disabled"] = false;
  info["downloads"] = 0;
  info["likes"] = 0;
  info["tags"] = ordered_json::array();
  info["siblings"] = std::move(siblings);
  return json_reply(info);
}

ServedReply Service::tree(const ServedRequest& request, const Route& route) {
  auto [commit, prefix] = repos_.find(route.repo, route.rest, false);
  std::vector<HubFile> files = repos_.list(route.repo, commit, prefix);
  if (files.empty() && !prefix.empty()) throw entry_not_found(commit, prefix);
  std::vector<Entry> entries = entries_below(files, prefix, is_true(route.query, "recursive"));

  constexpr std::string_view kCursor = "after:";
  std::size_t begin = std::min(number(route.query, "cursor", kCursor, 0), entries.size());
  std::size_t limit = number(route.query, "limit", "", options_.page_size);
  if (limit == 0) throw Refusal{error_reply(400, "", "Invalid limit")};
  std::size_t end = std::min(begin + std::min(limit, options_.page_size), entries.size());

  fs::path folder = repos_.folder(route.repo, commit);
  bool expand = is_true(route.query, "expand");
  ordered_json page = ordered_json::array();
  for (std::size_t i = begin; i < end; ++i) {
    const Entry& entry = entries[i];
    ordered_json item = {{"type", entry.is_directory ? "directory" : "file"}};
    if (entry.is_directory)
      item.update({{"oid", directory_oid(files, entry.file.path)}, {"size", 0}});
    else
      item.update(content_of(hashes_, folder, entry.file));
    item["path"] = entry.file.path;
    if (expand)
      item["lastCommit"] = {{"id", commit}, {"title", "Files of this commit"}, {"date", date_of(folder)}};
    page.push_back(std::move(item));
  }
  ServedReply reply = json_reply(page);
  reply.headers.emplace_back("X-Repo-Commit", commit);
  if (end < entries.size()) {
    std::string query;
    for (const auto& [name, value] : route.query)
      if (name != "cursor") query += percent_encode(name, "") + "=" + percent_encode(value, "") + "&";
    query += "cursor=" + percent_encode(std::string(kCursor) + std::to_string(end), "");
    std::string address = hub_origin(request) + route.path_for(route.repo.name) + "?" + query;
    reply.headers.emplace_back("Link", "<" + address + ">; rel=\"next\"");
  }
  return reply;
}

}  // namespace graft::server
