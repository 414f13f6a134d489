#include "cached.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>

#include "graft/loaded_kernels.h"
#include "terminal.h"

namespace graft {
namespace {

constexpr std::string_view kBuild = "build/";

std::string this_machine() {
  utsname names{};
  return uname(&names) == 0 ? names.nodename : "localhost";
}

}  // namespace

void add_cache_options(CLI::App& command, CacheOptions& options) {
  CLI::Option* all = command.add_flag("--all", options.all, "models, too");
  command.add_option("--repo-type", options.repo_type, "kernel or model (default: kernels of either kind)")
      ->check(CLI::IsMember({"kernel", "model"}))
      ->excludes(all);
  command.add_option("--cache-dir", options.cache_dir, "instead of HF_HUB_CACHE and KERNELS_CACHE");
}

HubOptions hub_options(const CacheOptions& options) {
  HubOptions hub = HubOptions::from_environment();
  if (!options.cache_dir.empty())
    hub.cache_dir = hub.kernels_cache_dir = std::filesystem::absolute(options.cache_dir);
  return hub;
}

bool is_kernel_repo(const CachedRepo& repo) {
  return repo.id.kind == RepoKind::kernel ||
         std::any_of(repo.commits.begin(), repo.commits.end(),
                     [](const CachedCommit& commit) { return !variants_of(commit).empty(); });
}

CacheContents scan_cache(const CacheOptions& options) {
  const HubOptions hub = hub_options(options);
  CacheContents contents;
  const bool models = options.all || options.repo_type == "model";
  if (options.all || options.repo_type != "model") contents = scan_cache(hub, RepoKind::kernel);
  if (options.repo_type == "kernel" && !options.all) return contents;
  CacheContents more = scan_cache(hub, RepoKind::model);
  for (CachedRepo& repo : more.repos)
    if (models || is_kernel_repo(repo)) contents.repos.push_back(std::move(repo));
  if (models) contents.notes.insert(contents.notes.end(), more.notes.begin(), more.notes.end());
  return contents;
}

std::set<std::string> variants_of(const CachedCommit& commit) {
  std::set<std::string> variants;
  for (const CachedFile& file : commit.files)
    if (std::size_t slash = file.path.find('/', kBuild.size());
        file.path.starts_with(kBuild) && slash != file.path.npos)
      variants.insert(file.path.substr(kBuild.size(), slash - kBuild.size()));
  return variants;
}

LoadedWhere::LoadedWhere(const CacheOptions& options) {
  const std::string here = this_machine();
  for (LoadedKernel& kernel : loaded_kernels())
    kernels_.push_back({{kernel.repo, kernel.commit},
                        {kernel.pid, kernel.program, kernel.machine == here ? "" : kernel.machine}});
  const HubOptions hub = hub_options(options);
  for (const auto& cache : std::set{hub.cache_dir, hub.kernels_cache_dir}) {
    std::vector<MappedBlob> mapped = mapped_blobs(cache);
    mapped_.insert(mapped_.end(), mapped.begin(), mapped.end());
  }
}

std::set<LoadedBy> LoadedWhere::of(const RepoId& repo, const std::string& commit) const {
  std::set<LoadedBy> processes;
  for (const auto& [id, process] : kernels_)
    if (id.repo == repo && id.commit == commit) processes.insert(process);
  return processes;
}

std::set<LoadedBy> LoadedWhere::of(const CachedRepo& repo, const CachedCommit& commit) const {
  std::set<LoadedBy> processes = of(repo.id, commit.commit);
  for (const MappedBlob& mapped : mapped_)
    for (const CachedFile& file : commit.files)
      if (mapped.disk == file.disk) processes.insert({mapped.pid, mapped.program});
  return processes;
}

std::string in_words(const std::set<LoadedBy>& processes) {
  std::string words;
  for (const LoadedBy& process : processes)
    words += fmt::format("{}{} (pid {}{})", words.empty() ? "" : ", ", process.program, process.pid,
                         process.machine.empty() ? "" : " on " + process.machine);
  return printable(words);
}

nlohmann::ordered_json in_json(const std::set<LoadedBy>& processes) {
  auto list = nlohmann::ordered_json::array();
  for (const LoadedBy& process : processes) {
    list.push_back({{"pid", process.pid}, {"program", process.program}});
    if (!process.machine.empty()) list.back()["machine"] = process.machine;
  }
  return list;
}

const char* repo_type(const RepoId& repo) {
  return repo.kind == RepoKind::kernel ? "kernel" : "model";
}

void print_json(const nlohmann::ordered_json& value) {
  fmt::print("{}\n", value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace graft
