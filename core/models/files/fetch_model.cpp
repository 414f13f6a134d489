#include "graft/fetch_model.h"

#include <algorithm>
#include <set>

#include "graft/checkpoint.h"
#include "graft/error.h"

namespace graft {
namespace {

// What Graft reads of a model's folder besides its weights.
const std::set<std::string> kSmallFiles = {"config.json",           "generation_config.json",  "tokenizer.json",
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

}  // namespace

FetchedModel fetch_model(const std::string& name, const std::string& revision, const HubOptions& hub_options,
                         const FetchOptions& options) {
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
  model.folder = hub->fetch(repo, found, model_files(*hub, repo, found.commit, files, options), options);
  return model;
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
