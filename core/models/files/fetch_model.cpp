#include "graft/fetch_model.h"

#include <algorithm>
#include <set>

#include "graft/checkpoint.h"
#include "graft/error.h"

namespace graft {
namespace {

constexpr const char* kConfigFile = "config.json";
// What Graft reads of a model's folder besides its weights.
const std::set<std::string> kSmallFiles = {kConfigFile,             "generation_config.json",  "tokenizer.json",
                                           "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
                                           "chat_template.json"};

std::vector<HubFile> select(const std::vector<HubFile>& files, const std::set<std::string>& names) {
  std::vector<HubFile> chosen;
  std::copy_if(files.begin(), files.end(), std::back_inserter(chosen),
               [&](const HubFile& file) { return names.contains(file.path); });
  return chosen;
}

bool lists(const std::vector<HubFile>& files, const char* name) {
  return std::any_of(files.begin(), files.end(), [&](const HubFile& file) { return file.path == name; });
}

struct FoundModel {
  std::shared_ptr<Hub> hub;
  RepoId repo;
  Revision revision;
  std::vector<HubFile> files;
  std::string note;  // as in FetchedModel
};

FoundModel find(const std::string& name, const std::string& revision, const HubOptions& hub_options) {
  if (std::count(name.begin(), name.end(), '/') != 1 || name.front() == '/' || name.front() == '.')
    throw Error(ErrorCode::not_found, "model " + name, "there is no such folder, and it is no name on a Hub",
                "give a folder with config.json, model.safetensors and tokenizer.json, or org/name");

  FoundModel found{open_hub(hub_options), {RepoKind::model, name}, {revision, revision}, {}, {}};
  if (!is_commit(revision)) {
    Refs refs = found.hub->refs(found.repo);
    auto named = find_revision(refs, revision);
    if (!named)
      throw Error(ErrorCode::revision_not_found, label(found.repo), "has no branch, tag or commit " + revision,
                  "see which there are on its page; most have main");
    found.revision = *named;
    if (!refs.stale.empty()) found.note = "from the cache, which may be behind the Hub: " + refs.stale;
  }
  found.files = found.hub->list(found.repo, found.revision.commit, "");
  return found;
}

}  // namespace

FetchedModel fetch_model(const std::string& name, const std::string& revision, const HubOptions& hub,
                         const FetchOptions& options) {
  if (std::filesystem::is_directory(name)) return {name, "", ""};
  FoundModel found = find(name, revision, hub);
  const std::string& commit = found.revision.commit;
  auto files = model_files(*found.hub, found.repo, commit, found.files, options);
  return {found.hub->fetch(found.repo, found.revision, files, options), commit, found.note};
}

FetchedModel fetch_model_config(const std::string& name, const std::string& revision, const HubOptions& hub,
                                const FetchOptions& options) {
  if (std::filesystem::is_directory(name)) return {name, "", ""};
  FoundModel found = find(name, revision, hub);
  if (!lists(found.files, kConfigFile))
    throw Error(ErrorCode::not_found, label(found.repo), std::string("has no ") + kConfigFile,
                "name a repo of a model in transformers' format");
  // By its commit, so that the cache's branch stays at the last one that is there whole.
  const std::string& commit = found.revision.commit;
  auto folder = found.hub->fetch(found.repo, {commit, commit}, select(found.files, {kConfigFile}), options);
  return {folder, commit, found.note};
}

std::vector<HubFile> model_files(Hub& hub, const RepoId& repo, const std::string& commit,
                                 const std::vector<HubFile>& files, const FetchOptions& options) {
  std::set<std::string> wanted = kSmallFiles;
  if (lists(files, kSingleFile)) {
    wanted.insert(kSingleFile);
  } else if (lists(files, kIndexFile)) {
    wanted.insert(kIndexFile);
    std::filesystem::path folder = hub.fetch(repo, {commit, commit}, select(files, wanted), options);
    for (const std::string& shard : shards_of(folder / kIndexFile)) wanted.insert(shard);
  }
  return select(files, wanted);
}

}  // namespace graft
