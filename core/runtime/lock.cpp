#include "graft/lock.h"

#include <algorithm>
#include <set>

#include "admission.h"
#include "graft/error.h"
#include "graft/find_commit.h"
#include "graft/hash.h"
#include "lock_check.h"
#include "signature.h"
#include "whole_file.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMostKernels = 1000;

std::string text_of(const std::string& repo, const std::string& asked) {
  return KernelRef{.repo = repo, .revision = asked, .entry = {}, .local = {}}.str();
}

/// The one .so at a variant's top; null if it has none of its own, as kernels for Python.
const HubFile* library_of(const std::vector<HubFile>& files) {
  const HubFile* library = nullptr;
  for (const HubFile& file : files) {
    const fs::path path(file.path);
    if (path.extension() != ".so" || std::distance(path.begin(), path.end()) != 3) continue;
    if (library) return nullptr;
    library = &file;
  }
  return library;
}

/// metadata.json of each variant, and what signs it.
std::vector<HubFile> metadata_files(const std::vector<HubFile>& files) {
  std::vector<HubFile> chosen;
  for (const HubFile& file : files) {
    const fs::path path(file.path);
    const bool in_variant = file.path.starts_with("build/") && std::distance(path.begin(), path.end()) == 3;
    if (in_variant && path.filename().string().starts_with("metadata.json")) chosen.push_back(file);
  }
  return chosen;
}

/// Locks one reference after the other, depth first.
class Locker {
 public:
  Locker(Runtime& runtime, const LockFile& kept, const LoadOptions& options)
      : runtime_(runtime), kept_(kept), options_(options), policy_(runtime.policy(options)) {}

  void lock(const std::string& repo, const std::string& asked) try {
    const std::string text = text_of(repo, asked);
    if (std::find(way_.begin(), way_.end(), text) != way_.end()) cycle(text);
    if (locked(repo, asked)) return;
    if (result.file.kernels.size() >= kMostKernels)
      throw Error(ErrorCode::corrupt, "kernel " + text, "depends on more than 1000 others", "look at its metadata.json: kernel-depends");
    way_.push_back(text);
    result.file.kernels.push_back({.repo = repo, .asked = asked, .revision = {}, .commit = {}});
    const std::size_t index = result.file.kernels.size() - 1;
    std::vector<KernelDependency> depends;
    LockedKernel kernel = look(repo, asked, depends);
    for (const KernelDependency& dependency : depends) kernel.depends.push_back(text_of(dependency.repo, dependency.asked()));
    result.file.kernels[index] = std::move(kernel);
    for (const KernelDependency& dependency : depends) lock(dependency.repo, dependency.asked());
    way_.pop_back();
  } catch (const Error& e) {
    if (way_.size() < 2 || told_) throw;
    told_ = true;  // how it came to this, once
    std::string way;
    for (const std::string& step : way_) way += (way.empty() ? "" : " → ") + step;
    throw Error(e.code(), e.failed(), e.why() + " (needed by way of " + way + ")", e.mend());
  }

  Locked result;

 private:
  bool locked(const std::string& repo, const std::string& asked) const {
    return std::any_of(result.file.kernels.begin(), result.file.kernels.end(),
                       [&](const LockedKernel& kernel) { return kernel.repo == repo && kernel.asked == asked; });
  }

  [[noreturn]] void cycle(const std::string& text) const {
    throw Error(ErrorCode::corrupt, "kernel " + text, "depends on itself", "its publisher must mend kernel-depends in metadata.json");
  }

  /// Resolves and reads one kernel; what it depends on is added to `depends`.
  LockedKernel look(const std::string& repo, const std::string& asked, std::vector<KernelDependency>& depends) {
    TrustDecision decision = decide_publisher(policy_, repo, options_.allow_all_kernels);
    if (!decision.accepted)
      throw Error(ErrorCode::untrusted, "kernel " + text_of(repo, asked), decision.reason,
                  "if you trust it with your process, set allow_all_kernels (graft lock --allow-all-kernels)");
    std::shared_ptr<Hub> hub = runtime_.hub_for(repo);
    const LockedKernel* kept = kept_.find_exact(repo, asked);
    FoundCommit found = find_kernel(*hub, repo, kept ? kept->commit : asked);
    LockedKernel kernel{.repo = repo,
                        .asked = asked,
                        .revision = kept && kept->revision != kept->commit ? kept->revision : found.revision.name,
                        .commit = found.revision.commit};
    check_commit(policy_, repo, kernel.commit, decision);
    const fs::path top = hub->fetch(found.repo, {kernel.commit, kernel.commit}, metadata_files(found.files), {.stop = options_.stop});
    std::set<KernelDependency> needed;
    for (const std::string& variant : variants_of(found.files)) {
      const std::vector<HubFile> files = files_of_variant(found.files, variant);
      const fs::path folder = top / "build" / variant;
      const std::string text = read_metadata(folder);
      TrustDecision signatures = decision;
      try {
        check_signatures(policy_, folder, text, signatures);
      } catch (const Error& e) {
        result.warnings.push_back(repo + ", variant " + variant + " is left out: " + e.why());
        continue;
      }
      const Metadata metadata = text.empty() ? Metadata{} : parse_metadata(text);
      check_minver({.repo = repo, .revision = asked, .entry = {}, .local = {}}, metadata);
      needed.insert(metadata.kernel_depends.begin(), metadata.kernel_depends.end());
      kernel.variants[variant] = {.metadata = text.empty() ? "" : sha256_of(text),
                                  .digest = library_digest(*hub, found, files, metadata),
                                  .signer = signatures.signer};
    }
    if (kernel.variants.empty())
      throw Error(ErrorCode::untrusted, "kernel " + text_of(repo, asked), "has no variant that the policy would let in",
                  "see why: graft verify " + text_of(repo, asked));
    depends.assign(needed.begin(), needed.end());
    return kernel;
  }

  /// "sha256:<hex>" of the variant's library; "" if it has none.
  std::string library_digest(Hub& hub, const FoundCommit& found, const std::vector<HubFile>& files, const Metadata& metadata) {
    const HubFile* library = library_of(files);
    if (!library) return {};
    const std::string name = fs::path(library->path).filename().string();
    if (metadata.algorithm == "sha256" && metadata.files.contains(name)) {
      const std::string bytes = from_base64(metadata.files.at(name)).value_or("");
      return "sha256:" + to_hex({bytes.begin(), bytes.end()});
    }
    if (!library->sha256.empty()) return "sha256:" + library->sha256;
    const Revision revision{found.revision.commit, found.revision.commit};
    return "sha256:" + to_hex(hash_file(hub.fetch(found.repo, revision, {*library}, {.stop = options_.stop}) / library->path, "sha256"));
  }

  Runtime& runtime_;
  const LockFile& kept_;
  const LoadOptions& options_;
  const Policy& policy_;
  std::vector<std::string> way_;  // the references that led here
  bool told_ = false;
};

std::map<std::string, const LockedKernel*> by_reference(const LockFile& lock) {
  std::map<std::string, const LockedKernel*> kernels;
  for (const LockedKernel& kernel : lock.kernels) kernels.emplace(text_of(kernel.repo, kernel.asked), &kernel);
  return kernels;
}

void compare(const std::string& text, const LockedKernel& before, const LockedKernel& now, std::vector<std::string>& lines) {
  if (before.commit != now.commit)
    lines.push_back(text + ": " + before.revision + " (" + before.commit.substr(0, 12) + ") → " + now.revision + " (" + now.commit.substr(0, 12) + ")");
  if (before.depends != now.depends) lines.push_back(text + ": depends on other kernels now");
  if (before.commit != now.commit) return;  // other bytes go without saying
  for (const auto& [name, variant] : now.variants)
    if (!before.variants.contains(name)) lines.push_back(text + ": variant " + name + " is not locked");
  for (const auto& [name, variant] : before.variants) {
    auto found = now.variants.find(name);
    if (found == now.variants.end())
      lines.push_back(text + ": variant " + name + " is gone");
    else if (variant.metadata != found->second.metadata || variant.digest != found->second.digest)
      lines.push_back(text + ": variant " + name + " is other bytes than locked");
  }
}

}  // namespace

Locked lock_kernels(Runtime& runtime, const std::vector<KernelRef>& wanted, const LockFile& kept, const LoadOptions& options) {
  Locker locker(runtime, kept, options);
  for (const KernelRef& ref : wanted) {
    if (ref.is_local())
      throw Error(ErrorCode::invalid_argument, "kernel " + ref.str(), "is a path, whose bytes nobody but you has", "lock a repo: org/name[@revision]");
    locker.lock(ref.repo, ref.revision);
  }
  return std::move(locker.result);
}

std::vector<KernelRef> wanted_of(const LockFile& lock) {
  std::set<std::string> needed;
  for (const LockedKernel& kernel : lock.kernels) needed.insert(kernel.depends.begin(), kernel.depends.end());
  std::vector<KernelRef> wanted;
  for (const LockedKernel& kernel : lock.kernels)
    if (!needed.contains(text_of(kernel.repo, kernel.asked)))
      wanted.push_back({.repo = kernel.repo, .revision = kernel.asked, .entry = {}, .local = {}});
  return wanted;
}

std::vector<std::string> differences(const LockFile& before, const LockFile& now) {
  std::vector<std::string> lines;
  const auto old_ones = by_reference(before), new_ones = by_reference(now);
  for (const auto& [text, kernel] : old_ones)
    if (!new_ones.contains(text)) lines.push_back(text + ": nothing needs it any more");
  for (const auto& [text, kernel] : new_ones) {
    auto found = old_ones.find(text);
    if (found == old_ones.end())
      lines.push_back(text + ": new");
    else
      compare(text, *found->second, *kernel, lines);
  }
  return lines;
}

fs::path fetch_locked(Runtime& runtime, const LockedKernel& locked, bool all_variants, std::vector<HubFile>& files,
                      const LoadOptions& options, const FetchOptions& fetching) {
  std::shared_ptr<Hub> hub = runtime.hub_for(locked.repo);
  const FoundCommit found = find_kernel(*hub, locked.repo, locked.commit);
  std::vector<std::string> variants = variants_of(found.files);
  if (!all_variants) {
    const VariantChoice choice = resolve_variant(variants, host_for(options), options.device);
    if (choice.chosen.empty())
      throw Error(ErrorCode::unsupported, "kernel " + locked.repo, "no variant fits the " + options.device + " of " + (options.host ? "that host: " : "this host: ") + choice.why_none(),
                  "name the device (--device cuda), or take them all: --all-variants");
    variants = {choice.chosen};
  }
  files.clear();
  for (const std::string& variant : variants)
    for (const HubFile& file : files_of_variant(found.files, variant)) files.push_back(file);
  const fs::path top = hub->fetch(found.repo, {locked.commit, locked.commit}, files, fetching);
  for (const std::string& variant : variants) {
    const std::vector<HubFile> own = files_of_variant(files, variant);
    const HubFile* library = library_of(own);
    const std::string digest = library ? "sha256:" + to_hex(hash_file(top / library->path, "sha256")) : "";
    // A variant that the policy would never let in was left out when it was locked.
    if (all_variants && !locked.variants.empty() && !locked.variants.contains(variant)) continue;
    check_locked(locked, variant, top / "build" / variant, own, digest);
  }
  return top;
}

std::optional<LockFile> read_lock(const fs::path& folder) {
  for (const char* name : {"graft.lock", "kernels.lock"})
    if (std::error_code error; fs::exists(folder / name, error)) return LockFile::read(folder / name);
  return std::nullopt;
}

void write_lock(const fs::path& folder, const LockFile& lock) {
  write_whole(folder / "graft.lock", lock.graft_lock());
  write_whole(folder / "kernels.lock", lock.kernels_lock());
}

}  // namespace graft
