// Runtime: the one way from a reference to an entry that can be called.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "graft/hub.h"
#include "graft/install.h"
#include "graft/kernel_ref.h"
#include "graft/loaded_plugin.h"
#include "graft/lock_file.h"
#include "graft/metadata.h"
#include "graft/trust.h"
#include "graft/variant.h"

namespace graft {

/// A kernel repo's plugin, loaded: where it came from, and why it was let in.
struct Package {
  KernelRef ref;         // as asked for
  std::string repo;      // "graft-kernels/norm"; a local one's path
  std::string revision;  // the tag or branch that was resolved: "v1.2.0"; empty for a local one
  std::string commit;    // 40 hex digits; empty for a local one
  std::string variant;   // "graft1-cpu-x86_64-linux"; may be empty for a local one
  std::string digest;    // "sha256:<hex>" of the library
  TrustDecision trust;
  std::vector<VariantTrace> variants;  // all of the repo's, in order of preference
  std::string note;  // what to know about it: that it comes from the cache because the Hub is out of reach
  std::shared_ptr<const Metadata> metadata;  // what its publisher says of it; never null, empty for a local one
  std::shared_ptr<const LoadedPlugin> plugin;
};

struct Kernel : Package {
  const graft_entry* entry = nullptr;  // never null; lives as long as the process
};

struct RuntimeOptions {
  std::string endpoint = {};                // empty: HF_ENDPOINT, else https://huggingface.co
  std::optional<std::string> token = {};    // none given: HF_TOKEN and its like, see hub_options.h
  std::filesystem::path embedded_hub = {};  // asked first for graft-kernels/…; empty: find_embedded_hub()
  std::optional<Policy> policy = {};        // none given: Policy::load()
  std::filesystem::path cache_dir = {};  // of Hubs over HTTP; empty: as huggingface_hub finds it
  // graft.lock or kernels.lock: what it locks is taken from there and held against it, whatever the Hub has since. Empty:
  // GRAFT_LOCK, else none.
  std::filesystem::path lock_file = {};
};

struct LoadOptions {
  std::string device = "cpu";      // "cpu", "cuda", "cuda:1", "rocm", "metal", "xpu"
  bool allow_all_kernels = false;  // also publishers that the policy does not name; never a wrong digest
  bool use_local_kernel = true;    // whether a path may be loaded
  std::shared_ptr<const Policy> policy = {};  // instead of the Runtime's own
  std::optional<HostPlatform> host = {};  // resolve for this one instead of this machine: to look and fetch, not to load
  std::stop_token stop = {};       // ends a download with Error(cancelled)
};

/// The platform that variants are resolved for: the one that is described, else this machine with what the device needs.
HostPlatform host_for(const LoadOptions& options);

/// A package that was found: nothing of it is loaded, nothing but its list of files fetched.
struct LocatedPackage {
  std::string repo = {}, revision = {}, commit = {};  // as in Package
  VariantChoice variants = {};
  std::string endpoint = {};            // of its Hub
  bool embedded = false;                // whether that is the one that comes with Graft
  std::string note = {};                // as in Package
  RepoKind kind = RepoKind::kernel;     // where it was found
  std::vector<HubFile> files = {};      // of the chosen variant; none if none fits, or for a path
  std::filesystem::path folder = {};    // of a path: the variant's
  std::optional<LockedKernel> locked = {};  // its line in the lock file
};

/// Thread-safe. A kernel of a repo is resolved once and stays what it was for the life of the Runtime; a
/// local one is looked at again each time, so that a rebuilt plugin is found. The same bytes are loaded once
/// per process.
class Runtime {
 public:
  explicit Runtime(RuntimeOptions options = {});
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// Throws Error, whose code says at which step it ended: invalid_argument (the reference), not_found (repo,
  /// revision, entry), unsupported (no variant or CPU feature), untrusted, corrupt (digest, ELF, ABI), plugin
  /// (init).
  Kernel load(const KernelRef& ref, const LoadOptions& options = {});

  /// As load, without choosing an entry.
  Package load_package(const KernelRef& ref, const LoadOptions& options = {});

  /// Whether load() would find the package of `ref` loaded, and so neither fetch nor check anything.
  bool is_loaded(const KernelRef& ref, const LoadOptions& options = {}) const;

  /// Resolves revision and variant: by the lock file if that has the repo; LOCAL_KERNELS (org/name=/path:…) comes before both.
  /// No variant that fits is no error here.
  LocatedPackage locate(const KernelRef& ref, const LoadOptions& options = {});

  /// The chosen variant's folder, its files fetched if they are not here; empty if none fits.
  std::filesystem::path fetch(const LocatedPackage& located, const LoadOptions& options = {});

  /// What the lock file has for `ref`; none without a lock file, or if the repo is not in it. Throws Error, as LockFile.
  std::optional<LockedKernel> locked(const KernelRef& ref);

  /// The Hub that holds `repo`: the embedded one for graft-kernels/… if it has it, else the endpoint's.
  std::shared_ptr<Hub> hub_for(const std::string& repo);
  std::shared_ptr<Hub> embedded_hub();  // null if there is none
  const RuntimeOptions& options() const;

  /// The one in force for these options. Throws Error(corrupt) if one of its files does not parse: nothing is loaded then.
  const Policy& policy(const LoadOptions& options = {});

  /// Remembers what `ref` comes to now as seen, though an older version or other bytes under its tag than before: what
  /// memory against rollback refuses is loaded from now on. Returns the revision.
  std::string accept(const KernelRef& ref);

  /// The process's own, made with default options on first use.
  static Runtime& shared();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace graft
