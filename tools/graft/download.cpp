// graft download: a kernel's or a model's files into the cache that Graft and huggingface_hub share.
#include <fmt/format.h>
#include <fnmatch.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "command.h"
#include "graft/error.h"
#include "graft/fetch_model.h"
#include "graft/find_commit.h"
#include "graft/lock.h"
#include "graft/runtime.h"
#include "host_option.h"
#include "interrupt.h"
#include "terminal.h"

namespace graft {
namespace {

using nlohmann::ordered_json;

struct DownloadOptions {
  std::string ref, repo_type, host;
  LoadOptions load;
  std::vector<std::string> patterns;
  std::string cache_dir, folder = ".";  // of the lock files
  bool all = false, locked = false, all_variants = false;
};

struct Downloaded {
  FoundCommit found;             // its files are those that were asked for
  std::filesystem::path folder;  // the repo's top
};

/// A locked kernel of which this machine, or the one described, can have no variant; the others are fetched all the same.
struct Failed {
  std::string repo;
  Error error;
};

void keep_matching(std::vector<HubFile>& files, const std::vector<std::string>& patterns, const std::string& repo) {
  std::erase_if(files, [&](const HubFile& file) {
    for (const std::string& pattern : patterns)
      if (fnmatch(pattern.c_str(), file.path.c_str(), 0) == 0) return false;
    return true;
  });
  if (files.empty())
    throw Error(ErrorCode::not_found, "repo " + repo, "has no file that matches " + fmt::format("{}", fmt::join(patterns, " ")),
                "quote patterns, as in 'build/*/metadata.json'; --all takes every file");
}

FoundCommit find(Hub& hub, const KernelRef& ref, const std::string& repo_type) {
  if (repo_type == "kernel") return find_commit(hub, {RepoKind::kernel, ref.repo}, ref.revision);
  if (repo_type == "model") return find_commit(hub, {RepoKind::model, ref.repo}, ref.revision);
  return find_kernel(hub, ref.repo, ref.revision);
}

bool has_variants(const FoundCommit& found) {
  return std::any_of(found.files.begin(), found.files.end(),
                     [](const HubFile& file) { return file.path.starts_with("build/"); });
}

Downloaded fetch(const DownloadOptions& options, const FetchOptions& fetching) {
  KernelRef ref = KernelRef::parse(options.ref);
  if (ref.is_local() || !ref.entry.empty())
    throw Error(ErrorCode::invalid_argument, "\"" + options.ref + "\"", "is no repo",
                "write org/name or org/name@revision");
  Runtime runtime({.cache_dir = options.cache_dir});
  std::shared_ptr<Hub> hub = runtime.hub_for(ref.repo);
  FoundCommit found = find(*hub, ref, options.repo_type);
  if (!options.patterns.empty()) {
    keep_matching(found.files, options.patterns, ref.repo);
  } else if (options.all_variants) {
    std::erase_if(found.files, [](const HubFile& file) { return !file.path.starts_with("build/"); });
  } else if (!options.all && found.repo.kind == RepoKind::model && !has_variants(found)) {
    found.files = model_files(*hub, found.repo, found.revision.commit, found.files, fetching);
  } else if (!options.all) {
    LocatedPackage located = runtime.locate(ref, options.load);
    if (located.files.empty())
      throw Error(ErrorCode::unsupported, "kernel " + options.ref,
                  "no variant fits this host's " + options.load.device + ": " + located.variants.why_none(),
                  "name the device (--device cuda), or take every file: --all");
    found.files = located.files;
  }
  std::filesystem::path folder = hub->fetch(found.repo, found.revision, found.files, fetching);
  return {std::move(found), std::move(folder)};
}

/// All that the lock files name, for this machine or the one described.
std::vector<Downloaded> fetch_all_locked(const DownloadOptions& options, const FetchOptions& fetching, std::vector<Failed>& failed) {
  std::optional<LockFile> lock = read_lock(options.folder);
  if (!lock)
    throw Error(ErrorCode::not_found, "lock file", "there is neither graft.lock nor kernels.lock in " + options.folder, "lock first: graft lock REF");
  Runtime runtime({.cache_dir = options.cache_dir});
  std::vector<Downloaded> all;
  for (const LockedKernel& kernel : lock->kernels) {
    try {
      Downloaded done{{.repo = {RepoKind::kernel, kernel.repo}, .revision = {kernel.revision, kernel.commit}, .files = {}, .refs = {}, .note = {}}, {}};
      done.folder = fetch_locked(runtime, kernel, options.all_variants, done.found.files, options.load, fetching);
      all.push_back(std::move(done));
    } catch (const Error& e) {
      if (e.code() != ErrorCode::unsupported) throw;
      failed.push_back({kernel.repo, e});
    }
  }
  return all;
}

ordered_json describe(const Downloaded& done, std::uint64_t bytes, double seconds) {
  ordered_json files = ordered_json::array();
  for (const HubFile& file : done.found.files) files.push_back({{"path", file.path}, {"size", file.size}});
  return {{"repo", done.found.repo.name},
          {"repo_type", done.found.repo.kind == RepoKind::kernel ? "kernel" : "model"},
          {"revision", done.found.revision.name},
          {"commit", done.found.revision.commit},
          {"folder", done.folder.string()},
          {"files", files},
          {"bytes_downloaded", bytes},
          {"seconds", seconds},
          {"note", done.found.note}};
}

int download(const DownloadOptions& options, bool json) try {
  Interrupt interrupt;
  ProgressCallback bar = HubOptions::from_environment().progress;
  std::uint64_t bytes = 0, earlier = 0;
  auto count = [&](const Progress& progress) {  // a model's index is a fetch of its own
    bytes = earlier + progress.received;
    if (progress.done) earlier = bytes;
    if (bar) bar(progress);
  };
  const auto start = std::chrono::steady_clock::now();
  const FetchOptions fetching{.stop = interrupt.token(), .progress = count};
  std::vector<Failed> failed;
  std::vector<Downloaded> all;
  if (options.locked)
    all = fetch_all_locked(options, fetching, failed);
  else
    all.push_back(fetch(options, fetching));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (json) {
    ordered_json list = ordered_json::array(), failures = ordered_json::array();
    for (const Downloaded& done : all) list.push_back(describe(done, bytes, seconds));
    for (const Failed& each : failed) failures.push_back({{"repo", each.repo}, {"reason", each.error.what()}});
    fmt::print("{}\n", (options.locked ? ordered_json{{"kernels", list}, {"failed", failures}} : list[0]).dump(2));
  } else {
    for (const Downloaded& done : all) {
      if (!done.found.note.empty()) fmt::print(stderr, "{} {}\n", styled("note:", Style::yellow, true), printable(done.found.note));
      fmt::print("{}\n", done.folder.string());
    }
    for (const Failed& each : failed) fmt::print(stderr, "{} {}\n", styled("✗", Style::red, true), printable(each.error.what()));
  }
  return failed.empty() ? kDone : kFailed;
} catch (const Error& e) {
  if (e.code() != ErrorCode::cancelled) throw;
  fmt::print(stderr, "interrupted; run it again to go on\n");
  return Interrupt::kExit;
}

}  // namespace

void add_download(CLI::App& app, CommandLine& line) {
  CLI::App* command = add_command(app, line, "download",
                                  "Fetch a kernel's variant for this machine, or a model, into the cache",
                                  "graft download kernels-community/activation@>=1.0\n"
                                  "  graft download Qwen/Qwen3-0.6B --repo-type model\n"
                                  "  graft download org/name@v1.0.0 'build/*/metadata.json'\n"
                                  "  graft download --locked                    # what graft.lock names, for this machine\n"
                                  "  graft download --locked --host gpu.json    # for an image that is built elsewhere");
  auto options = std::make_shared<DownloadOptions>();
  command->add_option("REPO", options->ref, "org/name[@revision]");
  command->add_option("PATTERN", options->patterns, "globs of files to take instead; * matches slashes, too");
  command->add_option("--repo-type", options->repo_type, "kernel or model (default: kernel, else model)")
      ->check(CLI::IsMember({"kernel", "model"}));
  command->add_flag("--all", options->all, "every file of the repo");
  command->add_flag("--all-variants", options->all_variants, "every variant, not the one for this machine alone");
  command->add_flag("--locked", options->locked, "all that graft.lock (or kernels.lock) names, held against its digests");
  command->add_option("--dir", options->folder, "the folder of the lock files")->capture_default_str();
  command->add_option("--device", options->load.device, "of the variant: cpu, cuda, …")->capture_default_str();
  add_host_option(*command, options->host);
  command->add_option("--cache-dir", options->cache_dir, "instead of HF_HUB_CACHE and KERNELS_CACHE");
  command->callback(
      [&line, options] {
        line.action = [&line, options] {
          if (options->ref.empty() != options->locked)
            throw Error(ErrorCode::invalid_argument, "graft download", options->locked ? "--locked takes no repo" : "no repo is named",
                        "name one: graft download org/name, or take what is locked: graft download --locked");
          options->load.host = read_host_option(options->host);
          return download(*options, line.json);
        };
      });
}

}  // namespace graft
