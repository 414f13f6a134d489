// What a snapshot of a repo costs in one process, call after call: `hub_bench ORG/NAME REVISION CALLS`, with the Hub and
// the cache that the environment names (HF_ENDPOINT, HF_HOME). Prints {"seconds": […]} for tools/bench/hub.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "graft/hub.h"

namespace {

/// As huggingface_hub's snapshot_download: a branch is asked for at each call, a commit never.
void snapshot(graft::Hub& hub, const graft::RepoId& repo, const std::string& name) {
  graft::Revision revision{name, name};
  if (!graft::is_commit(name)) revision = graft::find_revision(hub.refs(repo), name).value();
  hub.fetch(repo, revision, hub.list(repo, revision.commit, ""));
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::fprintf(stderr, "usage: hub_bench ORG/NAME REVISION CALLS\n");
    return 2;
  }
  auto hub = graft::open_hub(graft::HubOptions::from_environment());
  std::printf("{\"seconds\": [");
  for (int i = 0; i < std::atoi(argv[3]); ++i) {
    auto start = std::chrono::steady_clock::now();
    snapshot(*hub, {graft::RepoKind::model, argv[1]}, argv[2]);
    std::printf("%s%.6f", i ? ", " : "", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::printf("]}\n");
} catch (const std::exception& e) {
  std::fprintf(stderr, "hub_bench: %s\n", e.what());
  return 1;
}
