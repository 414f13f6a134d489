#include "graft/lock_file.h"

#include <algorithm>
#include <set>

#include "dependency.h"
#include "graft/error.h"
#include "graft/hub.h"

namespace graft {
namespace {

using detail::Fields;
using detail::Json;
using nlohmann::ordered_json;

constexpr std::int64_t kVersion = 1;
constexpr std::size_t kMaxBytes = std::size_t{16} << 20;

void check_names(const Fields& object, const std::set<std::string>& known) {
  for (const auto& [name, value] : object.items())
    if (!known.contains(name)) object.fail(name, "is no field that belongs here");
}

std::string commit_field(const Fields& object, const char* name) {
  std::string commit = object.text(name);
  if (!is_commit(commit)) object.fail(name, "is no commit (40 hex digits)");
  return commit;
}

std::string repo_field(const Fields& object, const char* name) {
  std::string repo = object.text(name);
  try {
    check_repo_name(repo);
  } catch (const Error& e) {
    object.fail(name, e.why());
  }
  return repo;
}

/// "2" and "v2" are the same version branch.
std::string canonical(const std::string& asked) {
  const bool number = !asked.empty() && asked.find_first_not_of("0123456789") == asked.npos;
  return number ? "v" + asked : asked;
}

/// Older kernels.lock files do not say what was asked for.
bool says_no_revision(const LockedKernel& kernel) {
  return kernel.asked.empty() && kernel.revision == kernel.commit;
}

LockedVariant read_variant(const Fields& object) {
  check_names(object, {"metadata", "digest", "signer"});
  LockedVariant variant{.metadata = object.optional_text("metadata").value_or(""),
                        .digest = object.optional_text("digest").value_or(""),
                        .signer = object.optional_text("signer").value_or("")};
  for (auto [name, value] : {std::pair{"metadata", &variant.metadata}, {"digest", &variant.digest}})
    if (!value->empty() && (!value->starts_with("sha256:") || value->size() != 71)) object.fail(name, "is no \"sha256:<hex>\"");
  return variant;
}

LockedKernel read_kernel(const Fields& object) {
  check_names(object, {"repo", "asked", "revision", "commit", "depends", "variants"});
  LockedKernel kernel{.repo = repo_field(object, "repo"),
                      .asked = object.optional_text("asked").value_or(""),
                      .revision = object.text("revision"),
                      .commit = commit_field(object, "commit")};
  if (object.has("depends"))
    for (const Json& item : object.array("depends")) {
      if (!item.is_string()) object.fail("depends", "holds what is no text");
      kernel.depends.push_back(item.get<std::string>());
    }
  const Fields variants = object.object("variants");
  for (const auto& [name, value] : variants.items()) {
    if (!value.is_object()) variants.fail(name, "is no object");
    kernel.variants.emplace(name, read_variant(variants.object(name)));
  }
  return kernel;
}

LockFile read_graft_lock(const Json& json, const std::string& source) {
  const Fields root(json, source);
  check_names(root, {"version", "kernels"});
  if (root.integer("version").value_or(0) != kVersion)
    throw Error(ErrorCode::unsupported, source, "its version is not " + std::to_string(kVersion), "use the Graft that wrote it, or lock again");
  LockFile lock;
  for (const Json& item : root.array("kernels")) {
    if (!item.is_object()) root.fail("kernels", "holds what is no object");
    lock.kernels.push_back(read_kernel(Fields(item, source)));
  }
  return lock;
}

/// HF kernels 0.17's.
LockedKernel read_dependency_lock(const Fields& item) {
  check_names(item, {"dependency", "lock"});
  const KernelDependency dependency = parse_dependency(item.object("dependency"));
  const Fields lock = item.object("lock");
  check_names(lock, {"commit"});
  return {.repo = dependency.repo,
          .asked = dependency.asked(),
          .revision = dependency.version ? "v" + std::to_string(*dependency.version) : dependency.revision,
          .commit = commit_field(lock, "commit")};
}

/// That of HF kernels before 0.17, which kept one version of a repo and a hash for each variant.
LockedKernel read_sha_lock(const Fields& item) {
  check_names(item, {"repo_id", "sha", "variants"});
  LockedKernel kernel{.repo = repo_field(item, "repo_id"), .asked = "", .revision = "", .commit = commit_field(item, "sha")};
  kernel.revision = kernel.commit;
  const Fields variants = item.object("variants");
  for (const auto& [name, value] : variants.items()) {
    if (!value.is_object()) variants.fail(name, "is no object");
    const Fields variant = variants.object(name);
    check_names(variant, {"hash", "hash_type"});
    if (variant.optional_text("hash_type").value_or("git_lfs_concat") != "git_lfs_concat")
      variant.fail("hash_type", "is not git_lfs_concat, the only one there ever was");
    const std::string hash = variant.text("hash");
    if (!hash.starts_with("sha256-") || hash.size() != 71) variant.fail("hash", "is no \"sha256-<hex>\"");
    kernel.variants[name].git_lfs_concat = hash;
  }
  return kernel;
}

LockFile read_kernels_lock(const Json& json, const std::string& source) {
  LockFile lock;
  for (const Json& item : json) {
    if (!item.is_object()) throw Error(ErrorCode::corrupt, source, "holds what is no object");
    const Fields fields(item, source);
    lock.kernels.push_back(fields.has("repo_id") ? read_sha_lock(fields) : read_dependency_lock(fields));
  }
  return lock;
}

/// Which of two equal ones would hold is nobody's guess.
void check_once(const LockFile& lock, const std::string& source) {
  std::set<std::pair<std::string, std::string>> seen;
  for (const LockedKernel& kernel : lock.kernels)
    if (!seen.emplace(kernel.repo, canonical(kernel.asked)).second)
      throw Error(ErrorCode::corrupt, source, "locks " + kernel.repo + (kernel.asked.empty() ? "" : "@" + kernel.asked) + " twice");
}

/// The number of a version branch, "v2"; -1 for other names.
std::int64_t branch_number(const std::string& revision) {
  if (revision.size() < 2 || revision.size() > 10 || revision[0] != 'v' || revision.find_first_not_of("0123456789", 1) != revision.npos) return -1;
  return std::stoll(revision.substr(1));
}

}  // namespace

LockFile LockFile::parse(std::string_view text, const std::string& source) try {
  if (text.size() > kMaxBytes) throw Error(ErrorCode::corrupt, source, "is larger than 16 MiB");
  const Json json = detail::parse_json(text, source, detail::DuplicateKeys::refused);
  if (!json.is_object() && !json.is_array())
    throw Error(ErrorCode::corrupt, source, "is neither a graft.lock nor a kernels.lock");
  LockFile lock = json.is_object() ? read_graft_lock(json, source) : read_kernels_lock(json, source);
  check_once(lock, source);
  return lock;
} catch (const Error& e) {
  if (e.code() != ErrorCode::corrupt) throw;
  throw Error(e.code(), e.failed(), e.why(), "bring the file back as it was, or remove it and lock again: graft lock REF");
}

LockFile LockFile::read(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error))
    throw Error(ErrorCode::not_found, "lock file " + file.string(), "there is no such file", "make it: graft lock REF, or unset GRAFT_LOCK");
  return parse(detail::read_text(file, kMaxBytes), file.string());
}

std::string LockFile::graft_lock() const {
  ordered_json list = ordered_json::array();
  for (const LockedKernel& kernel : kernels) {
    ordered_json variants = ordered_json::object();
    for (const auto& [name, variant] : kernel.variants) {
      ordered_json& one = variants[name] = ordered_json::object();
      for (auto [key, value] : {std::pair{"metadata", &variant.metadata}, {"digest", &variant.digest}, {"signer", &variant.signer}})
        if (!value->empty()) one[key] = *value;
    }
    list.push_back({{"repo", kernel.repo}, {"asked", kernel.asked}, {"revision", kernel.revision}, {"commit", kernel.commit}});
    if (!kernel.depends.empty()) list.back()["depends"] = kernel.depends;
    list.back()["variants"] = variants;
  }
  return ordered_json{{"version", kVersion}, {"kernels", list}}.dump(2) + "\n";
}

std::string LockFile::kernels_lock() const {
  ordered_json list = ordered_json::array();
  for (const LockedKernel& kernel : kernels) {
    ordered_json dependency = {{"repo-id", kernel.repo}};
    if (std::int64_t number = branch_number(kernel.revision); number >= 0)
      dependency["version"] = number;
    else
      dependency["revision"] = kernel.revision;
    ordered_json item = {{"dependency", dependency}, {"lock", {{"commit", kernel.commit}}}};
    const bool again = std::any_of(list.begin(), list.end(), [&](const ordered_json& other) { return other["dependency"] == dependency; });
    if (!again) list.push_back(std::move(item));  // one revision, asked for in two ways
  }
  return list.dump(2) + "\n";
}

const LockedKernel* LockFile::find_exact(const std::string& repo, const std::string& asked) const {
  for (const LockedKernel& kernel : kernels)
    if (kernel.repo == repo && (canonical(kernel.asked) == canonical(asked) || says_no_revision(kernel))) return &kernel;
  return nullptr;
}

const LockedKernel* LockFile::find(const KernelRef& ref) const {
  if (const LockedKernel* exact = find_exact(ref.repo, ref.revision)) return exact;
  const LockedKernel* first = nullptr;
  for (const LockedKernel& kernel : kernels) {
    if (kernel.repo != ref.repo) continue;
    if (kernel.commit == ref.revision) return &kernel;
    if (!first) first = &kernel;
  }
  if (!first || ref.revision.empty()) return first;
  throw Error(ErrorCode::revision_not_found, "kernel " + ref.str(),
              "the lock file has " + first->repo + (first->asked.empty() ? "" : "@" + first->asked) + " alone",
              "lock this one, too: graft lock " + ref.repo + "@" + ref.revision);
}

}  // namespace graft
