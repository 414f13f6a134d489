#include "lock_check.h"

#include "graft/error.h"
#include "graft/hash.h"
#include "variant_digest.h"

namespace graft {
namespace {

bool is_lfs(const HubFile& file) {
  constexpr std::uint64_t kLarge = 10'000'000;
  if (!file.sha256.empty()) return true;
  return file.oid.empty() && (file.path.ends_with(".so") || file.size >= kLarge);
}

std::vector<unsigned char> git_hash(const std::filesystem::path& path, const HubFile& file) {
  return is_lfs(file) ? hash_file(path, "sha256") : hash_git_blob(path);
}

[[noreturn]] void refuse(const LockedKernel& locked, const std::string& variant, const std::string& why) {
  throw Error(ErrorCode::untrusted, "kernel " + locked.repo + ", variant " + variant, why,
              "if this is meant, lock again: graft lock --update " + locked.repo);
}

}  // namespace

std::string sha256_of(const std::string& bytes) {
  Hasher hasher("sha256");
  hasher.update(bytes);
  return "sha256:" + to_hex(hasher.finish());
}

std::string git_lfs_concat(const std::filesystem::path& folder, const std::string& variant, const std::vector<HubFile>& files) {
  const std::string prefix = "build/" + variant + "/";
  Hasher hasher("sha256");
  for (const HubFile& file : files) {  // sorted by path, as list() gives them
    if (!file.path.starts_with(prefix)) continue;
    const std::string name = file.path.substr(prefix.size());
    const std::vector<unsigned char> hash = git_hash(folder / name, file);
    hasher.update(name);
    hasher.update(hash.data(), hash.size());
  }
  return "sha256-" + to_hex(hasher.finish());
}

void check_locked(const LockedKernel& locked, const std::string& variant, const std::filesystem::path& folder,
                  const std::vector<HubFile>& files, const std::string& digest) {
  if (locked.variants.empty()) return;  // kernels.lock of HF kernels 0.17: the commit is all it has
  auto found = locked.variants.find(variant);
  if (found == locked.variants.end()) refuse(locked, variant, "is not in the lock file");
  const LockedVariant& expected = found->second;
  if (!expected.digest.empty() && digest != expected.digest) refuse(locked, variant, "its library is " + digest + ", and the lock file has " + expected.digest);
  if (!expected.metadata.empty()) {
    const std::string metadata = sha256_of(read_metadata(folder));
    if (metadata != expected.metadata) refuse(locked, variant, "its metadata.json is " + metadata + ", and the lock file has " + expected.metadata);
  }
  if (!expected.git_lfs_concat.empty()) {
    const std::string hash = git_lfs_concat(folder, variant, files);
    if (hash != expected.git_lfs_concat) refuse(locked, variant, "its files are " + hash + ", and the lock file has " + expected.git_lfs_concat);
  }
}

}  // namespace graft
