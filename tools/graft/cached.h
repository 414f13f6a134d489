// The cache as ls, rm and gc see it: what is a kernel in it, and who has it loaded.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "graft/cache.h"

namespace graft {

/// Which repos a command is about.
struct CacheOptions {
  std::string repo_type;  // "kernel", "model"; empty: kernels, see is_kernel_repo()
  bool all = false;       // both
  std::string cache_dir;  // instead of HF_HUB_CACHE and KERNELS_CACHE
};

/// --all, --repo-type and --cache-dir.
void add_cache_options(CLI::App& command, CacheOptions& options);

/// The environment's, with --cache-dir.
HubOptions hub_options(const CacheOptions& options);

/// A repo of kind kernel, or one of kind model that holds variants, as kernels' repos once were.
bool is_kernel_repo(const CachedRepo& repo);

/// The repos that the options ask for, kernels first, each group sorted by name.
CacheContents scan_cache(const CacheOptions& options);

/// The variants of a commit of which files are here, sorted.
std::set<std::string> variants_of(const CachedCommit& commit);

struct LoadedBy {
  int pid = 0;
  std::string program;
  std::string machine = {};  // empty: this one
  auto operator<=>(const LoadedBy&) const = default;
};

/// Which processes have a library or a file of which commit, looked up once.
class LoadedWhere {
 public:
  explicit LoadedWhere(const CacheOptions& options);
  std::set<LoadedBy> of(const CachedRepo& repo, const CachedCommit& commit) const;
  std::set<LoadedBy> of(const RepoId& repo, const std::string& commit) const;  // by kernels alone

 private:
  std::vector<std::pair<CommitId, LoadedBy>> kernels_;
  std::vector<MappedBlob> mapped_;
};

/// "graft (pid 4711), python3 (pid 4712 on node7)", safe for a terminal.
std::string in_words(const std::set<LoadedBy>& processes);
nlohmann::ordered_json in_json(const std::set<LoadedBy>& processes);

/// "kernel" or "model".
const char* repo_type(const RepoId& repo);

void print_json(const nlohmann::ordered_json& value);

}  // namespace graft
