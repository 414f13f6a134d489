#include "graft/pack.h"

#include <stdlib.h>

#include <nlohmann/json.hpp>
#include <set>

#include "graft/error.h"
#include "graft/hash.h"
#include "graft/hub.h"
#include "graft/tree.h"
#include "graft/version.h"
#include "keys/key_signature.h"
#include "graft/metadata.h"
#include "variant_digest.h"
#include "whole_file.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

using nlohmann::ordered_json;

/// A folder that goes away with its owner unless it was moved.
class Staging {
 public:
  explicit Staging(const fs::path& parent) {
    fs::create_directories(parent);
    std::string name = (parent / ".staging-XXXXXX").string();
    if (!mkdtemp(name.data()))
      throw Error(ErrorCode::io, "folder " + parent.string(), "cannot be written", "check its permissions");
    path_ = name;
    fs::permissions(path_, fs::perms(0755));
  }
  ~Staging() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// "cpu" of graft1-cpu-x86_64-linux, "cuda" of graft1-cu130-…: the word that HF kernels uses; empty if it has
/// none.
std::string backend_of(const std::string& variant) {
  std::size_t begin = variant.find('-') + 1, end = variant.find('-', begin);
  std::string word = variant.substr(begin, end - begin);
  for (const char* backend : {"cpu", "rocm", "metal", "xpu"})
    if (word.starts_with(backend)) return backend;
  return word.starts_with("cu") ? "cuda" : "";
}

/// What is there of signatures is over other bytes once metadata.json has changed.
void sign_metadata(const fs::path& folder, const std::string& before, const PackOptions& options) {
  const std::string metadata = read_whole(folder / "metadata.json");
  if (metadata != before)
    for (const char* stale : {"metadata.json.sigstore", kDsseFile, kPlainFile}) fs::remove(folder / stale);
  if (!options.key.empty()) write_whole(folder / kDsseFile, sign_dsse(metadata, {read_whole(options.key)}));
}

void write_metadata(const fs::path& folder, const std::string& variant, const PackOptions& options) {
  ordered_json metadata = ordered_json::object();
  fs::path file = folder / "metadata.json";
  if (fs::exists(file)) {
    std::string text = read_whole(file);
    parse_metadata(text);
    metadata = ordered_json::parse(text);
  }
  // The fields that HF kernels' reader requires.
  std::string name = options.repo.substr(options.repo.find('/') + 1);
  auto version = Version::parse(options.tag);
  auto fill = [&](const char* key, ordered_json value) {
    if (!metadata.contains(key)) metadata[key] = std::move(value);
  };
  fill("id", options.repo);
  fill("name", name);
  fill("version", version ? version->component(0) : 0);
  if (!options.license.empty()) fill("license", options.license);
  fill("python-depends", ordered_json::array());
  if (std::string backend = backend_of(variant); !backend.empty()) fill("backend", {{"type", backend}});

  ordered_json files = ordered_json::object();
  for (const std::string& path : digest_files(folder))
    files[path] = to_base64(hash_file(folder / path, options.algorithm));
  metadata["digest"] = {{"algorithm", options.algorithm}, {"files", files}};
  write_whole(file, metadata.dump(2) + "\n");
}

void copy_tree(const fs::path& source, const fs::path& target) {
  for (const HubFile& file : list_tree(source, source)) {
    fs::create_directories((target / file.path).parent_path());
    fs::copy_file(source / file.path, target / file.path);
  }
}

/// Commits that no ref names any more.
void prune(const fs::path& repo) {
  std::set<std::string> named;
  for (const HubFile& file : list_tree(repo / "refs", repo / "refs"))
    named.insert(read_whole(repo / "refs" / file.path).substr(0, 40));
  for (const fs::directory_entry& commit : fs::directory_iterator(repo / "commits"))
    if (!named.contains(commit.path().filename().string())) fs::remove_all(commit.path());
}

/// Whether the ref changed.
bool set_ref(const fs::path& file, const std::string& commit) {
  if (fs::exists(file) && read_whole(file).substr(0, 40) == commit) return false;
  write_whole(file, commit + "\n");
  return true;
}

void check_tag_stays(const fs::path& file, const std::string& commit, const PackOptions& options) {
  if (options.move_tag || !fs::exists(file) || read_whole(file).substr(0, 40) == commit) return;
  throw Error(ErrorCode::invalid_argument, "tag " + options.tag + " of " + options.repo,
              "names commit " + read_whole(file).substr(0, 40) + ", and the files are others now",
              "give the next version's tag, or --move-tag if nobody has this one yet");
}

}  // namespace

PackResult pack_repo(const PackOptions& options) try {
  check_repo_name(options.repo);
  check_inside(options.tag);
  if (options.tag.empty())
    throw Error(ErrorCode::invalid_argument, "repo " + options.repo, "has no tag", "give one: --tag v1.0.0");
  PackResult result;
  result.variants = find_variants(options.source);
  for (const std::string& variant : result.variants) library_name(options.source / "build" / variant);

  fs::path repo = options.hub / "kernels" / options.repo;
  Staging staging(repo / "commits");
  fs::path tree = staging.path() / "tree";
  fs::create_directory(tree);
  copy_tree(options.source, tree);
  if (!options.key.empty() && !fs::is_regular_file(options.key))
    throw Error(ErrorCode::not_found, "key " + options.key.string(), "there is no such file",
                "make one: graft sign --new-key FILE");
  for (const std::string& variant : result.variants) {
    fs::path folder = tree / "build" / variant;
    const std::string before = read_whole(folder / "metadata.json");
    write_metadata(folder, variant, options);
    sign_metadata(folder, before, options);
  }

  result.commit = content_commit(tree);
  fs::path tag = repo / "refs" / "tags" / options.tag;
  check_tag_stays(tag, result.commit, options);
  fs::path commit = repo / "commits" / result.commit;
  if (!fs::exists(commit)) {
    fs::rename(tree, commit);
    result.changed = true;
  }
  result.changed |= set_ref(tag, result.commit);
  result.changed |= set_ref(repo / "refs" / "heads" / "main", result.commit);
  fs::remove_all(staging.path());
  if (options.move_tag) prune(repo);
  return result;
} catch (const fs::filesystem_error& e) {
  throw Error(ErrorCode::io, "packing " + options.repo, e.what(), "check permissions and disk space");
}

}  // namespace graft
