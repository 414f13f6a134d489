// What a snapshot of a repo costs in one process, call after call: `hub_bench ORG/NAME REVISION CALLS`, with the Hub and
// the cache that the environment names (HF_ENDPOINT, HF_HOME). Prints
// {"all_seconds": […], "seconds": the first} for tools/bench/hub.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <vector>

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
  std::vector<double> seconds;
  std::shared_ptr<graft::Hub> hub;
  for (int i = 0; i < std::max(1, std::atoi(argv[3])); ++i) {
    auto start = std::chrono::steady_clock::now();
    if (!hub) hub = graft::open_hub(graft::HubOptions::from_environment());
    snapshot(*hub, {graft::RepoKind::model, argv[1]}, argv[2]);
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::printf("{\"all_seconds\": [");
  for (std::size_t i = 0; i < seconds.size(); ++i) std::printf("%s%.6f", i ? ", " : "", seconds[i]);
  std::printf("], \"seconds\": %.6f}\n", seconds.front());
} catch (const std::exception& e) {
  std::fprintf(stderr, "hub_bench: %s\n", e.what());
  return 1;
}
