#include "graft/find_commit.h"

#include "graft/error.h"
#include "revision.h"

namespace graft {

FoundCommit find_commit(Hub& hub, const RepoId& repo, const std::string& revision) {
  FoundCommit found{.repo = repo, .revision = {revision, revision}, .files = {}, .note = {}};
  if (!is_commit(revision)) {  // a commit is what it is, whatever the refs say
    Refs refs = hub.refs(repo);
    found.revision = resolve_revision(refs, revision, label(repo));
    if (!refs.stale.empty()) found.note = "from the cache, which may be behind the Hub: " + refs.stale;
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

}  // namespace graft
