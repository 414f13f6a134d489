#include "variant_digest.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>

#include "graft/error.h"
#include "graft/hash.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr const char* kMend = "download or pack it again; do not use these files";

[[noreturn]] void refuse(const fs::path& variant, const std::string& why) {
  throw Error(ErrorCode::corrupt, "variant " + variant.string(), why, kMend);
}

std::optional<Metadata> read_metadata(const fs::path& variant) {
  fs::path file = variant / "metadata.json";
  if (!fs::exists(file)) return std::nullopt;
  if (!fs::is_regular_file(file) || fs::file_size(file) > kMaxMetadataBytes)
    refuse(variant, "its metadata.json is no file of at most 4 MiB");
  std::ifstream in(file, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (!in) throw Error(ErrorCode::io, "file " + file.string(), "reading it failed", "check its permissions");
  return parse_metadata(text);
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
    if (path.extension() == ".pyc" || name == "metadata.json" || name == "metadata.json.sigstore") continue;
    files.push_back(std::move(name));
  }
  std::sort(files.begin(), files.end());
  return files;
} catch (const fs::filesystem_error& e) {
  throw Error(ErrorCode::io, "variant " + variant.string(), e.code().message(),
              "check that it exists and its permissions");
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

VerifiedVariant verify_variant(const fs::path& variant) {
  std::optional<Metadata> metadata = read_metadata(variant);
  if (!metadata || metadata->algorithm.empty())
    return {SealedCopy::make(variant / library_name(variant)), false};

  std::vector<std::string> files = digest_files(variant);
  check_listing(variant, *metadata, files);
  std::string library = library_name(variant);
  for (const std::string& file : files)
    if (file != library) check_hash(variant, *metadata, file, hash_file(variant / file, metadata->algorithm));
  SealedCopy copy = SealedCopy::make(variant / library, metadata->algorithm);
  check_hash(variant, *metadata, library, copy.hash());
  return {std::move(copy), true};
}

void decide_digest(const VerifiedVariant& variant, TrustDecision& decision) {
  decision.digest = variant.digest();
  if (variant.has_digest) {
    decision.reason += "; every file's digest holds";
    return;
  }
  if (decision.state == "trusted") decision.state = "warned";
  decision.reason += "; the variant has no digest to hold its files against";
}

}  // namespace graft
