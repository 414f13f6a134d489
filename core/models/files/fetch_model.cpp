#include "graft/fetch_model.h"

#include <algorithm>
#include <functional>
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

/// Of the files in a repo's listing those that are wanted.
using Choice = std::function<std::vector<HubFile>(Hub&, const RepoId&, const std::string& commit, const std::vector<HubFile>&)>;

FetchedModel fetch(const std::string& name, const std::string& revision, const HubOptions& hub_options,
                   const FetchOptions& options, const Choice& choose) {
  if (std::filesystem::is_directory(name)) return {name, "", ""};
  if (std::count(name.begin(), name.end(), '/') != 1 || name.front() == '/' || name.front() == '.')
    throw Error(ErrorCode::not_found, "model " + name, "there is no such folder, and it is no name on a Hub",
                "give a folder with config.json, model.safetensors and tokenizer.json, or org/name");

  RepoId repo{RepoKind::model, name};
  std::shared_ptr<Hub> hub = open_hub(hub_options);
  Revision found{revision, revision};
  FetchedModel model;
  if (!is_commit(revision)) {
    Refs refs = hub->refs(repo);
    auto named = find_revision(refs, revision);
    if (!named)
      throw Error(ErrorCode::revision_not_found, label(repo), "has no branch, tag or commit " + revision,
                  "see which there are on its page; most have main");
    found = *named;
    if (!refs.stale.empty()) model.note = "from the cache, which may be behind the Hub: " + refs.stale;
  }
  model.commit = found.commit;

  std::vector<HubFile> files = hub->list(repo, found.commit, "");
  model.folder = hub->fetch(repo, found, choose(*hub, repo, found.commit, files), options);
  return model;
}

}  // namespace

FetchedModel fetch_model(const std::string& name, const std::string& revision, const HubOptions& hub,
                         const FetchOptions& options) {
  const auto all = [&](Hub& from, const RepoId& repo, const std::string& commit, const std::vector<HubFile>& files) {
    return model_files(from, repo, commit, files, options);
  };
  return fetch(name, revision, hub, options, all);
}

FetchedModel fetch_model_config(const std::string& name, const std::string& revision, const HubOptions& hub,
                                const FetchOptions& options) {
  const auto config_alone = [](Hub&, const RepoId& repo, const std::string&, const std::vector<HubFile>& files) {
    if (!lists(files, kConfigFile))
      throw Error(ErrorCode::not_found, label(repo), std::string("has no ") + kConfigFile,
                  "name a repo of a model in transformers' format");
    return select(files, {kConfigFile});
  };
  return fetch(name, revision, hub, options, config_alone);
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
