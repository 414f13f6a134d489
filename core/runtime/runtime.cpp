#include "graft/runtime.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <set>

#include "graft/error.h"
#include "graft/host_platform.h"
#include "local_package.h"
#include "plugin_loader.h"
#include "revision.h"
#include "variant_digest.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr const char* kDefaultEndpoint = "https://huggingface.co";
constexpr std::string_view kFirstParty = "graft-kernels/";

RuntimeOptions with_defaults(RuntimeOptions options) {
  if (options.endpoint.empty()) {
    const char* set = std::getenv("HF_ENDPOINT");
    options.endpoint = set && *set ? set : kDefaultEndpoint;
  }
  return options;
}

HostPlatform host_for(const std::string& device) {
  const HostPlatform& host = HostPlatform::detect();
  return device_kind(device) == "cuda" ? host.with_cuda() : host;
}

/// The variants of a commit: the folders below build/ that hold files.
std::vector<std::string> list_variants(Hub& hub, const RepoId& repo, const std::string& commit) {
  constexpr std::string_view kBuild = "build/";
  std::set<std::string> names;
  for (const HubFile& file : hub.list(repo, commit, "build"))
    if (std::size_t slash = file.path.find('/', kBuild.size()); slash != file.path.npos)
      names.insert(file.path.substr(kBuild.size(), slash - kBuild.size()));
  return {names.begin(), names.end()};
}

[[noreturn]] void no_variant_fits(const std::string& repo, const VariantChoice& variants,
                                  const std::string& device) {
  throw Error(ErrorCode::unsupported, "kernel " + repo,
              "no variant fits this host's " + device + ": " + variants.why_none(),
              "build one for this host, or use another kernel or version");
}

/// Permissions, broken disks and looping links, wherever a folder is looked into.
Error io_error(const KernelRef& ref, const fs::filesystem_error& e) {
  return {ErrorCode::io, "kernel " + ref.str(), e.path1().string() + ": " + e.code().message(),
          "check that the path can be read"};
}

}  // namespace

struct Runtime::State {
  RuntimeOptions options;
  std::mutex mutex;  // guards what follows
  std::shared_ptr<Hub> embedded, endpoint;
  std::map<std::string, Package> loaded;  // by reference without entry, device and the switch

  Package load_from_hub(Runtime& runtime, const KernelRef& ref, const LoadOptions& load);
  Package load_local(const KernelRef& ref, const LoadOptions& load);
  LocatedPackage locate_in_hub(Runtime& runtime, const KernelRef& ref, const LoadOptions& load);
};

// The way of one kernel: from its reference (parsed by KernelRef) to its entry.
Kernel Runtime::load(const KernelRef& ref, const LoadOptions& options) {
  Package package = load_package(ref, options);
  const graft_entry& entry = package.plugin->entry(ref.entry, device_type(device_kind(options.device)));
  return {std::move(package), &entry};
}

Package Runtime::load_package(const KernelRef& ref, const LoadOptions& options) try {
  if (ref.is_local()) return state_->load_local(ref, options);
  std::string key =
      ref.repo + "@" + ref.revision + " " + options.device + (options.allow_all_kernels ? " all" : "");
  {
    std::lock_guard lock(state_->mutex);
    if (auto it = state_->loaded.find(key); it != state_->loaded.end()) {
      Package package = it->second;
      package.ref = ref;
      return package;
    }
  }
  Package package = state_->load_from_hub(*this, ref, options);
  std::lock_guard lock(state_->mutex);
  // Two threads may have come here at once; the first one's answer holds for both.
  Package kept = state_->loaded.emplace(key, std::move(package)).first->second;
  kept.ref = ref;
  return kept;
} catch (const fs::filesystem_error& e) {
  throw io_error(ref, e);
}

Package Runtime::State::load_from_hub(Runtime& runtime, const KernelRef& ref, const LoadOptions& load) {
  // Trust in the publisher comes first: an untrusted one's repo is not even asked about.
  TrustDecision trust = decide_publisher(options.policy, ref.repo, load.allow_all_kernels);
  if (!trust.accepted)
    throw Error(ErrorCode::untrusted, "kernel " + ref.str(), trust.reason,
                "if you trust it with your process, set allow_all_kernels (graft run --allow-all-kernels)");

  LocatedPackage found = locate_in_hub(runtime, ref, load);
  if (found.folder.empty()) no_variant_fits(ref.repo + "@" + found.revision, found.variants, load.device);

  VerifiedVariant verified = verify_variant(found.folder);
  decide_digest(verified, trust);

  auto plugin = load_plugin(std::move(verified.library), ref.repo);
  return {ref,
          ref.repo,
          found.revision,
          found.commit,
          found.variants.chosen,
          plugin->digest(),
          trust,
          found.variants.trace,
          plugin};
}

LocatedPackage Runtime::State::locate_in_hub(Runtime& runtime, const KernelRef& ref,
                                             const LoadOptions& load) {
  RepoId repo{RepoKind::kernel, ref.repo};
  std::shared_ptr<Hub> hub = runtime.hub_for(ref.repo);
  ResolvedRevision revision = resolve_revision(hub->refs(repo), ref.revision, ref.repo);
  VariantChoice variants =
      resolve_variant(list_variants(*hub, repo, revision.commit), host_for(load.device), load.device);
  fs::path folder;
  if (!variants.chosen.empty()) folder = hub->fetch(repo, revision.commit, "build/" + variants.chosen);
  return {ref.repo, revision.name, revision.commit, std::move(variants), folder};
}

Package Runtime::State::load_local(const KernelRef& ref, const LoadOptions& load) {
  if (!load.use_local_kernel)
    throw Error(ErrorCode::untrusted, "kernel " + ref.str(), "kernels from a path are switched off",
                "set use_local_kernel = true, or name a repo");
  LocalPackage found = find_local_package(ref.local, host_for(load.device), load.device);
  if (found.library.empty()) no_variant_fits(ref.local.string(), found.variants, load.device);

  // Rebuilding leaves metadata.json behind, so a path's files are not held against it: whoever can write
  // there is trusted.
  SealedCopy library = SealedCopy::make(found.library);
  TrustDecision trust{true, "local",         "", "local path", "a path on this machine, named by its user",
                      "",   library.digest()};
  auto plugin = load_plugin(std::move(library), ref.local.string());
  return {ref,   ref.local.string(),   "",    "", found.variant, plugin->digest(),
          trust, found.variants.trace, plugin};
}

LocatedPackage Runtime::locate(const KernelRef& ref, const LoadOptions& options) try {
  if (!ref.is_local()) return state_->locate_in_hub(*this, ref, options);
  LocalPackage found = find_local_package(ref.local, host_for(options.device), options.device);
  return {ref.local.string(), "", "", found.variants, found.library.parent_path()};
} catch (const fs::filesystem_error& e) {
  throw io_error(ref, e);
}

std::shared_ptr<Hub> Runtime::hub_for(const std::string& repo) {
  if (repo.starts_with(kFirstParty))
    if (auto embedded = embedded_hub(); embedded && embedded->has({RepoKind::kernel, repo})) return embedded;
  std::lock_guard lock(state_->mutex);
  if (!state_->endpoint) state_->endpoint = open_hub(state_->options.endpoint);
  return state_->endpoint;
}

std::shared_ptr<Hub> Runtime::embedded_hub() {
  std::lock_guard lock(state_->mutex);
  if (!state_->embedded) {
    const fs::path& set = state_->options.embedded_hub;
    fs::path folder = set.empty() ? find_embedded_hub() : set;
    if (!folder.empty()) state_->embedded = open_hub("file://" + folder.string());
  }
  return state_->embedded;
}

const RuntimeOptions& Runtime::options() const {
  return state_->options;
}

Runtime::Runtime(RuntimeOptions options) : state_(std::make_unique<State>()) {
  state_->options = with_defaults(std::move(options));
}

Runtime::~Runtime() = default;

Runtime& Runtime::shared() {
  static auto& runtime = *new Runtime;  // outlives static objects that hold kernels
  return runtime;
}

}  // namespace graft
