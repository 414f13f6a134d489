#include "variant_digest.h"

#include <algorithm>
#include <set>
#include <utility>

#include "graft/error.h"
#include "graft/hash.h"
#include "json_text.h"
#include "keys/key_signature.h"
#include "signature.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

const std::set<std::string> kOutside = {"metadata.json", "metadata.json.sigstore", kDsseFile, kPlainFile};

constexpr const char* kMend = "download or pack it again; do not use these files";

[[noreturn]] void refuse(const fs::path& variant, const std::string& why) {
  throw Error(ErrorCode::corrupt, "variant " + variant.string(), why, kMend);
}

void check_listing(const fs::path& variant, const Metadata& metadata,
                   const std::vector<std::string>& present) {
  for (const auto& [path, hash] : metadata.files)
    if (!std::binary_search(present.begin(), present.end(), path))
      refuse(variant, "file " + path + " is in metadata.json but not here");
  for (const std::string& path : present)
    if (!metadata.files.contains(path)) refuse(variant, "file " + path + " is not in metadata.json");
}

void check_hash(const fs::path& variant, const Metadata& metadata, const std::string& path,
                const std::vector<unsigned char>& hash) {
  if (to_base64(hash) != metadata.files.at(path))
    refuse(variant, metadata.algorithm + " of " + path + " differs from metadata.json");
}

}  // namespace

std::vector<std::string> digest_files(const fs::path& variant) try {
  std::vector<std::string> files;
  for (auto it = fs::recursive_directory_iterator(variant); it != fs::end(it); ++it) {
    const fs::path& path = it->path();
    if (it->is_directory()) {
      if (path.filename() == "__pycache__") it.disable_recursion_pending();
      // The iterator does not enter links to folders, so what is behind one would never be checked.
      if (it->is_symlink()) refuse(variant, "link " + path.string() + " stands for a folder");
      continue;
    }
    std::string name = path.lexically_relative(variant).generic_string();
    if (path.extension() == ".pyc" || kOutside.contains(name)) continue;
    files.push_back(std::move(name));
  }
  std::sort(files.begin(), files.end());
  return files;
} catch (const fs::filesystem_error& e) {
  throw Error(ErrorCode::io, "variant " + variant.string(), e.code().message(),
              "check that it exists and its permissions");
}

std::vector<std::string> find_variants(const fs::path& repo) {
  std::vector<std::string> variants;
  if (fs::is_directory(repo / "build"))
    for (const fs::directory_entry& item : fs::directory_iterator(repo / "build"))
      if (item.is_directory()) variants.push_back(item.path().filename().string());
  if (variants.empty())
    throw Error(ErrorCode::not_found, "repo folder " + repo.string(), "has no build/<variant>/",
                "build it first: graft_add_plugin puts each variant there");
  std::sort(variants.begin(), variants.end());
  return variants;
}

std::string library_name(const fs::path& variant) {
  std::string found;
  for (const std::string& file : digest_files(variant)) {
    if (file.find('/') != file.npos || !file.ends_with(".so")) continue;
    if (!found.empty())
      throw Error(ErrorCode::corrupt, "variant " + variant.string(),
                  "has two libraries, " + found + " and " + file + ", and which is the plugin is open",
                  "leave one .so at its top");
    found = file;
  }
  if (found.empty())
    throw Error(ErrorCode::not_found, "variant " + variant.string(), "has no .so at its top",
                "build the plugin first");
  return found;
}

std::string read_metadata(const fs::path& variant) {
  fs::path file = variant / "metadata.json";
  if (!fs::exists(file)) return {};
  if (!fs::is_regular_file(file) || fs::file_size(file) > kMaxMetadataBytes)
    refuse(variant, "its metadata.json is no file of at most 4 MiB");
  return detail::read_text(file, kMaxMetadataBytes);
}

VerifiedVariant verify_variant(const fs::path& variant, const std::string& text, std::string_view label) {
  Metadata metadata = text.empty() ? Metadata{} : parse_metadata(text);
  if (metadata.algorithm.empty())
    return {SealedCopy::make(variant / library_name(variant), "sha256", SealedCopy::Storage::memory, label), std::move(metadata)};

  std::vector<std::string> files = digest_files(variant);
  check_listing(variant, metadata, files);
  std::string library = library_name(variant);
  for (const std::string& file : files)
    if (file != library) check_hash(variant, metadata, file, hash_file(variant / file, metadata.algorithm));
  SealedCopy copy = SealedCopy::make(variant / library, metadata.algorithm, SealedCopy::Storage::memory, label);
  check_hash(variant, metadata, library, copy.hash());
  return {std::move(copy), std::move(metadata)};
}

VerifiedVariant check_variant(const Policy& policy, const fs::path& variant, TrustDecision& decision, std::string_view label) {
  const std::string metadata = read_metadata(variant);
  check_signatures(policy, variant, metadata, decision);
  const std::string admitted_by = std::exchange(decision.rule, "digest");
  VerifiedVariant verified = verify_variant(variant, metadata, label);
  decision.digest = verified.digest();
  if (!verified.has_digest() && !decision.signer.empty())
    refuse(variant, "is signed, but its metadata.json has no digest: the signature covers none of its files");
  decision.rule = "deny";
  if (policy.denied_digests.contains(decision.digest))
    throw Error(ErrorCode::untrusted, "variant " + variant.string(), "its library is on the policy's deny list",
                "use another version");
  decision.rule = admitted_by;
  if (verified.has_digest()) {
    decision.reason += "; every file's digest holds";
  } else {
    if (decision.state == "trusted") decision.state = "warned";
    decision.reason += "; the variant has no digest to hold its files against";
  }
  return verified;
}

}  // namespace graft
