#include "graft/find_commit.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "graft/error.h"
#include "revision.h"

namespace graft {

FoundCommit find_commit(Hub& hub, const RepoId& repo, const std::string& revision) {
  FoundCommit found{.repo = repo, .revision = {revision, revision}, .files = {}, .refs = {}, .note = {}};
  if (!is_commit(revision)) {  // a commit is what it is, whatever the refs say
    found.refs = hub.refs(repo);
    found.revision = resolve_revision(found.refs, revision, label(repo));
    if (!found.refs.stale.empty()) found.note = "from the cache, which may be behind the Hub: " + found.refs.stale;
  }
  found.files = hub.list(repo, found.revision.commit, "");
  return found;
}

FoundCommit find_kernel(Hub& hub, const std::string& name, const std::string& revision) {
  auto elsewhere = [](const Error& e) {
    return e.code() == ErrorCode::not_found || e.code() == ErrorCode::offline;
  };
  try {
    return find_commit(hub, {RepoKind::kernel, name}, revision);
  } catch (const Error& kernel) {
    if (!elsewhere(kernel)) throw;
    try {
      return find_commit(hub, {RepoKind::model, name}, revision);
    } catch (const Error& model) {
      if (!elsewhere(model)) throw;
      throw kernel;
    }
  }
}

std::vector<std::string> variants_of(const std::vector<HubFile>& files) {
  constexpr std::string_view kBuild = "build/";
  std::set<std::string> names;
  for (const HubFile& file : files)
    if (std::size_t slash = file.path.find('/', kBuild.size()); file.path.starts_with(kBuild) && slash != file.path.npos)
      names.insert(file.path.substr(kBuild.size(), slash - kBuild.size()));
  return {names.begin(), names.end()};
}

std::vector<HubFile> files_of_variant(const std::vector<HubFile>& files, const std::string& variant) {
  const std::string prefix = "build/" + variant + "/";
  std::vector<HubFile> chosen;
  if (variant.empty()) return chosen;
  std::copy_if(files.begin(), files.end(), std::back_inserter(chosen), [&](const HubFile& file) { return file.path.starts_with(prefix); });
  return chosen;
}

}  // namespace graft
