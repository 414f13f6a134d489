#include "graft/runtime.h"

#include <cstdlib>
#include <map>
#include <mutex>

#include "admission.h"
#include "graft/error.h"
#include "graft/find_commit.h"
#include "graft/host_platform.h"
#include "graft/quarantine.h"
#include "loaded_registry.h"
#include "local_overrides.h"
#include "local_package.h"
#include "plugin_loader.h"
#include "seen_versions.h"
#include "variant_digest.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kFirstParty = "graft-kernels/";

/// The environment's, where `options` does not say otherwise.
HubOptions hub_options(const RuntimeOptions& options) {
  HubOptions hub = HubOptions::from_environment();
  if (!options.endpoint.empty()) hub.endpoint = options.endpoint;
  if (options.token) hub.token = *options.token;
  if (!options.cache_dir.empty()) hub.cache_dir = hub.kernels_cache_dir = fs::absolute(options.cache_dir);
  return hub;
}

[[noreturn]] void no_variant_fits(const std::string& repo, const VariantChoice& variants,
                                  const std::string& device) {
  throw Error(ErrorCode::unsupported, "kernel " + repo,
              "no variant fits this host's " + device + ": " + variants.why_none(),
              "build one for this host, or use another kernel or version");
}

/// What the preflight and the probe go by. A path without a variant's name is what Graft's own build made.
LoadRules rules_for(const std::string& variant, const LoadOptions& load, const Policy& policy) {
  bool own = variant.empty() || variant.starts_with("graft");
  return {.elf = {.family = own ? ElfFamily::graft : ElfFamily::other, .device = load.device}, .probe = policy.probe};
}

/// What of a reference and its options says which package it is.
std::string loaded_key(const KernelRef& ref, const LoadOptions& load) {
  return ref.repo + "@" + ref.revision + " " + load.device + (load.allow_all_kernels ? " all" : "");
}

/// Permissions, broken disks and looping links, wherever a folder is looked into.
Error io_error(const KernelRef& ref, const fs::filesystem_error& e) {
  return {ErrorCode::io, "kernel " + ref.str(), e.path1().string() + ": " + e.code().message(),
          "check that the path can be read"};
}

}  // namespace

HostPlatform host_for(const LoadOptions& options) {
  return options.host ? *options.host : HostPlatform::detect().with_device(device_kind(options.device));
}

struct Runtime::State {
  RuntimeOptions options;
  std::mutex mutex;  // guards what follows
  std::optional<Policy> policy;
  std::optional<LockFile> lock;
  std::shared_ptr<Hub> embedded, endpoint;
  std::map<std::string, Package> loaded;  // by loaded_key()

  const LocalOverrides overrides = LocalOverrides::from_environment();

  std::optional<Package> find_loaded(const KernelRef& ref, const LoadOptions& load);
  Package load_from_hub(Runtime& runtime, const KernelRef& ref, const LoadOptions& load);
  Package load_local(Runtime& runtime, const KernelRef& ref, const LoadOptions& load);
  LocatedPackage locate_in_hub(Runtime& runtime, const KernelRef& ref, const LoadOptions& load);
};

// The way of one kernel: from its reference (parsed by KernelRef) to its entry.
Kernel Runtime::load(const KernelRef& ref, const LoadOptions& options) {
  Package package = load_package(ref, options);
  const graft_entry& entry = package.plugin->entry(ref.entry, device_type(device_kind(options.device)));
  return {std::move(package), &entry};
}

Package Runtime::load_package(const KernelRef& asked, const LoadOptions& options) try {
  const KernelRef ref = state_->overrides.applied(asked);
  if (ref.is_local()) {
    Package package = state_->load_local(*this, ref, options);
    if (!asked.is_local()) package.note = "LOCAL_KERNELS puts this path in the place of " + asked.repo;
    return package;
  }
  if (options.policy) return state_->load_from_hub(*this, ref, options);  // decided anew: it may say otherwise
  if (std::optional<Package> loaded = state_->find_loaded(ref, options)) return *std::move(loaded);
  Package package = state_->load_from_hub(*this, ref, options);
  std::lock_guard lock(state_->mutex);
  // Two threads may have come here at once; the first one's answer holds for both.
  Package kept = state_->loaded.emplace(loaded_key(ref, options), std::move(package)).first->second;
  kept.ref = ref;
  return kept;
} catch (const fs::filesystem_error& e) {
  throw io_error(asked, e);
}

bool Runtime::is_loaded(const KernelRef& asked, const LoadOptions& options) const {
  const KernelRef ref = state_->overrides.applied(asked);
  std::lock_guard lock(state_->mutex);
  return !ref.is_local() && !options.policy && state_->loaded.contains(loaded_key(ref, options));
}

std::optional<Package> Runtime::State::find_loaded(const KernelRef& ref, const LoadOptions& load) {
  std::lock_guard lock(mutex);
  const auto found = loaded.find(loaded_key(ref, load));
  if (found == loaded.end()) return std::nullopt;
  Package package = found->second;
  package.ref = ref;
  return package;
}

Package Runtime::State::load_from_hub(Runtime& runtime, const KernelRef& ref, const LoadOptions& load) {
  // Trust in the publisher comes first: an untrusted one's repo is not even asked about.
  const Policy& policy = runtime.policy(load);
  TrustDecision trust = decide_publisher(policy, ref.repo, load.allow_all_kernels);
  if (!trust.accepted)
    throw Error(ErrorCode::untrusted, "kernel " + ref.str(), trust.reason,
                "if you trust it with your process, set allow_all_kernels (graft run --allow-all-kernels)");

  LocatedPackage found = locate_in_hub(runtime, ref, load);
  if (found.variants.chosen.empty())
    no_variant_fits(ref.repo + "@" + found.revision, found.variants, load.device);

  VerifiedVariant verified = admit(policy, ref, found, runtime.fetch(found, load), trust);
  auto metadata = std::make_shared<const Metadata>(std::move(verified.metadata));
  auto plugin = load_plugin(std::move(verified.library), ref.repo, rules_for(found.variants.chosen, load, policy));
  remember(policy, ref, found);
  note_loaded({found.kind, ref.repo}, found.commit, plugin->digest());
  return {ref,
          ref.repo,
          found.revision,
          found.commit,
          found.variants.chosen,
          plugin->digest(),
          trust,
          found.variants.trace,
          found.note,
          std::move(metadata),
          plugin};
}

LocatedPackage Runtime::State::locate_in_hub(Runtime& runtime, const KernelRef& ref,
                                             const LoadOptions& load) {
  std::shared_ptr<Hub> hub = runtime.hub_for(ref.repo);
  std::optional<LockedKernel> locked = runtime.locked(ref);
  FoundCommit found = find_kernel(*hub, ref.repo, locked ? locked->commit : ref.revision);
  VariantChoice variants = resolve_variant(variants_of(found.files), host_for(load), load.device);
  return {.repo = ref.repo,
          .revision = locked ? locked->revision : found.revision.name,
          .commit = found.revision.commit,
          .variants = variants,
          .endpoint = hub->endpoint(),
          .embedded = hub == runtime.embedded_hub(),
          .note = found.note,
          .kind = found.repo.kind,
          .files = files_of_variant(found.files, variants.chosen),
          .folder = {},
          .locked = std::move(locked)};
}

Package Runtime::State::load_local(Runtime& runtime, const KernelRef& ref, const LoadOptions& load) {
  const Policy& policy = runtime.policy(load);
  if (!policy.local_kernels)
    throw Error(ErrorCode::untrusted, "kernel " + ref.str(), "the policy does not let kernels from a path run",
                "see graft policy show: local_kernels");
  if (!load.use_local_kernel)
    throw Error(ErrorCode::untrusted, "kernel " + ref.str(), "kernels from a path are switched off",
                "set use_local_kernel = true, or name a repo");
  LocalPackage found = find_local_package(ref.local, host_for(load), load.device);
  if (found.library.empty()) no_variant_fits(ref.local.string(), found.variants, load.device);

  // Rebuilding leaves metadata.json behind, so a path's files are not held against it: whoever can write
  // there is trusted.
  // A copy under its own name: a rebuild does not reach the running host, and debuggers find its symbols.
  SealedCopy library = SealedCopy::make(found.library, "sha256", SealedCopy::Storage::named);
  TrustDecision trust{.accepted = true,
                      .state = "local",
                      .publisher = {},
                      .rule = "local_kernels",
                      .reason = "a path on this machine, named by its user",
                      .signer = {},
                      .digest = library.digest()};
  auto plugin = load_plugin(std::move(library), ref.local.string(), rules_for(found.variant, load, policy));
  return {ref,   ref.local.string(),   "", "",    found.variant, plugin->digest(),
          trust, found.variants.trace, "", std::make_shared<const Metadata>(), plugin};
}

LocatedPackage Runtime::locate(const KernelRef& asked, const LoadOptions& options) try {
  const KernelRef ref = state_->overrides.applied(asked);
  if (!ref.is_local()) return state_->locate_in_hub(*this, ref, options);
  LocalPackage found = find_local_package(ref.local, host_for(options), options.device);
  return {.repo = ref.local.string(),
          .variants = found.variants,
          .note = asked.is_local() ? "" : "LOCAL_KERNELS puts this path in the place of " + asked.repo,
          .files = {},
          .folder = found.library.parent_path(),
          .locked = {}};
} catch (const fs::filesystem_error& e) {
  throw io_error(asked, e);
}

fs::path Runtime::fetch(const LocatedPackage& found, const LoadOptions& options) {
  if (!found.folder.empty() || found.variants.chosen.empty()) return found.folder;
  // A lock file does not say where a tag or branch stands now, so the cache's refs stay as they are.
  const Revision revision{found.locked ? found.commit : found.revision, found.commit};
  return hub_for(found.repo)->fetch({found.kind, found.repo}, revision, found.files, {.stop = options.stop}) / "build" /
         found.variants.chosen;
}

std::optional<LockedKernel> Runtime::locked(const KernelRef& ref) {
  std::lock_guard lock(state_->mutex);
  if (!state_->lock) {
    const char* variable = std::getenv("GRAFT_LOCK");
    const fs::path file = !state_->options.lock_file.empty() ? state_->options.lock_file : variable ? variable : "";
    state_->lock = file.empty() ? LockFile() : LockFile::read(file);
  }
  const LockedKernel* found = state_->lock->find(ref);
  return found ? std::optional(*found) : std::nullopt;
}

std::shared_ptr<Hub> Runtime::hub_for(const std::string& repo) {
  if (repo.starts_with(kFirstParty))
    if (auto embedded = embedded_hub(); embedded && embedded->has({RepoKind::kernel, repo})) return embedded;
  std::lock_guard lock(state_->mutex);
  if (!state_->endpoint) state_->endpoint = open_hub(hub_options(state_->options));
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

const Policy& Runtime::policy(const LoadOptions& options) {
  if (options.policy) return *options.policy;
  std::lock_guard lock(state_->mutex);
  if (!state_->policy) state_->policy = state_->options.policy ? *state_->options.policy : Policy::load();
  return *state_->policy;
}

std::string Runtime::accept(const KernelRef& ref) {
  LocatedPackage found = locate(ref);
  SeenVersions(state_folder()).remember({found.endpoint, ref.repo, ref.revision, found.revision, found.commit});
  return found.revision;
}

const RuntimeOptions& Runtime::options() const {
  return state_->options;
}

Runtime::Runtime(RuntimeOptions options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
}

Runtime::~Runtime() = default;

Runtime& Runtime::shared() {
  static auto& runtime = *new Runtime;  // outlives static objects that hold kernels
  return runtime;
}

}  // namespace graft
