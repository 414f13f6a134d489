#include "repo_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "../hub_json.h"
#include "../json_text.h"
#include "blob_writer.h"
#include "graft/tree.h"
#include "os_error.h"
#include "scratch_name.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kCacheTag =  // https://bford.info/cachedir
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This file is a cache directory tag: backup programs may leave the folder out.\n";

std::string folder_name(const RepoId& repo) {
  std::string name = repo.name;
  name.replace(name.find('/'), 1, "--");
  return (repo.kind == RepoKind::kernel ? "kernels--" : "models--") + name;
}

void make_folder(const fs::path& folder) {
  constexpr int kTries = 20;  // somebody may remove the folder above it meanwhile, as empty: graft rm
  std::error_code error;
  for (int i = 0; i < kTries; ++i) {
    error.clear();
    fs::create_directories(folder, error);
    if (error != std::errc::no_such_file_or_directory) break;
  }
  if (error && !fs::is_directory(folder)) throw_os_error(folder, "cannot be made", error.value());
}

/// Whole or not at all: written elsewhere in the repo's folder, then renamed. Python's readers of refs/ and
/// trees/ never see the file on its way.
void write_whole(const fs::path& file, std::string_view text, const fs::path& scratch) {
  make_folder(file.parent_path());
  fs::path beside = scratch / (".graft-" + scratch_name());
  int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) throw_os_error(scratch, "cannot be written");
  bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  int number = errno;
  close(fd);
  if (written && rename(beside.c_str(), file.c_str()) == 0) return;
  if (written) number = errno;
  unlink(beside.c_str());
  throw_os_error(file, "cannot be written", number);
}

std::string read_commit(const fs::path& file) {
  std::ifstream in(file);
  std::string commit;
  in >> commit;
  return is_commit(commit) ? commit : "";
}

/// Makes the folders below `top`, none of which may be a link: it could lead out of the cache.
void make_folders_below(const fs::path& top, const fs::path& relative) {
  make_folder(top);
  fs::path folder = top;
  for (const fs::path& part : relative) {
    folder /= part;
    if (mkdir(folder.c_str(), 0777) == 0) continue;
    struct stat status {};
    if (errno == ENOENT) make_folder(folder);  // what is above it was removed meanwhile, as empty
    else if (errno != EEXIST) throw_os_error(folder, "cannot be made");
    if (lstat(folder.c_str(), &status) != 0 || !S_ISDIR(status.st_mode))
      throw Error(ErrorCode::corrupt, folder.string(), "stands in the way of a folder of the cache", "remove it");
  }
}

std::string link_target(const std::string& path, const std::string& etag) {
  std::string target = "../../";  // out of the snapshot's own folder, and of snapshots/
  for (auto slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) target += "../";
  return target + "blobs/" + etag;
}

std::string read_link(const fs::path& link) {
  char text[4096];
  ssize_t size = readlink(link.c_str(), text, sizeof text);
  return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : "";
}

bool is_file_of(const fs::path& path, std::uint64_t size) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         static_cast<std::uint64_t>(status.st_size) == size;
}

}  // namespace

const fs::path& cache_root(const HubOptions& options, RepoKind kind) {
  return kind == RepoKind::kernel ? options.kernels_cache_dir : options.cache_dir;
}

std::vector<std::string> cached_repos(const HubOptions& options, RepoKind kind) {
  std::vector<std::string> names;
  const std::string prefix = kind == RepoKind::kernel ? "kernels--" : "models--";
  std::error_code error;
  for (const fs::directory_entry& item : fs::directory_iterator(cache_root(options, kind), error)) {
    std::string name = item.path().filename().string();
    if (!name.starts_with(prefix) || !fs::is_directory(item.path() / "snapshots", error)) continue;
    name.erase(0, prefix.size());
    if (std::size_t dashes = name.find("--"); dashes != name.npos) names.push_back(name.replace(dashes, 2, "/"));
  }
  std::sort(names.begin(), names.end());
  return names;
}

RepoCache::RepoCache(const HubOptions& options, const RepoId& repo)
    : root_(cache_root(options, repo.kind)), symlinks_(options.symlinks) {
  check_repo_name(repo.name);
  folder_ = root_ / folder_name(repo);
}

fs::path RepoCache::lock(const std::string& etag) const {
  fs::path folder = root_ / ".locks" / folder_.filename();
  make_folder(folder);
  return folder / (etag + ".lock");
}

void RepoCache::make_folders() const {
  make_folder(folder_ / "blobs");
  std::error_code error;
  if (fs::path tag = root_ / "CACHEDIR.TAG"; !fs::exists(tag, error)) write_whole(tag, kCacheTag, folder_);
}

void RepoCache::check_space(std::uint64_t bytes) const {
  std::error_code error;
  fs::space_info space = fs::space(root_, error);
  if (error || space.available >= bytes) return;
  throw Error(ErrorCode::disk_full, "cache " + root_.string(),
              "has " + std::to_string(space.available >> 20) + " MiB free, and " + std::to_string((bytes >> 20) + 1) +
                  " MiB are to come",
              "free some space, or put the cache elsewhere: HF_HUB_CACHE=/path (KERNELS_CACHE for kernels)");
}

std::optional<std::string> RepoCache::ref(const std::string& name) const {
  check_inside(name);
  std::string commit = read_commit(folder_ / "refs" / name);
  return commit.empty() ? std::nullopt : std::optional(commit);
}

std::map<std::string, std::string> RepoCache::refs() const {
  std::map<std::string, std::string> refs;
  fs::path folder = folder_ / "refs";
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(folder, error); !error && it != fs::end(it); it.increment(error))
    if (it->is_regular_file(error))
      if (std::string commit = read_commit(it->path()); !commit.empty())
        refs[it->path().lexically_relative(folder).generic_string()] = commit;
  return refs;
}

void RepoCache::write_ref(const std::string& name, const std::string& commit) const try {
  if (name == commit || ref(name) == commit) return;
  write_whole(folder_ / "refs" / name, commit, folder_);
} catch (const Error&) {
  // The cache may be one to read alone: what is asked for is there nevertheless.
}

std::optional<std::vector<HubFile>> RepoCache::tree(const std::string& commit) const try {
  fs::path file = folder_ / "trees" / (commit + ".json");
  auto text = detail::read_text_if_there(file);
  if (!text) return std::nullopt;
  return parse_tree_cache(*text, file.string());
} catch (const Error&) {
  return std::nullopt;  // of another version, or broken: it is asked for again
}

void RepoCache::write_tree(const std::string& commit, const std::vector<HubFile>& files) const try {
  make_folder(folder_);
  write_whole(folder_ / "trees" / (commit + ".json"), format_tree_cache(files), folder_);
} catch (const Error&) {
  // It is asked for again, then.
}

std::vector<HubFile> RepoCache::files_here(const std::string& commit) const {
  std::vector<HubFile> files;
  fs::path top = snapshot(commit);
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(top, error); !error && it != fs::end(it); it.increment(error)) {
    if (!it->is_regular_file(error)) continue;
    HubFile file{it->path().lexically_relative(top).generic_string(), it->file_size(error)};
    std::string etag = it->is_symlink(error) ? linked_etag(commit, file.path) : "";
    if (is_hex(etag, 64)) {
      file.sha256 = etag;
    } else {
      file.oid = is_hex(etag, 40) ? etag : git_sha1(it->path());
    }
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(), [](const HubFile& a, const HubFile& b) { return a.path < b.path; });
  return files;
}

bool RepoCache::has(const std::string& commit, const HubFile& file) const {
  fs::path pointer = snapshot(commit) / file.path;
  if (!is_file_of(pointer, file.size)) return false;
  std::string target = read_link(pointer);
  return target.empty() ? !fs::is_symlink(pointer) : target == link_target(file.path, etag_of(file));
}

std::string RepoCache::linked_etag(const std::string& commit, const std::string& path) const {
  return fs::path(read_link(snapshot(commit) / path)).filename().string();
}

bool RepoCache::has_blob(const HubFile& file) const {
  return is_file_of(blob(etag_of(file)), file.size);
}

void RepoCache::link(const std::string& commit, const HubFile& file) const {
  fs::path pointer = snapshot(commit) / file.path, source = blob(etag_of(file));
  make_folders_below(snapshot(commit), fs::path(file.path).parent_path());
  std::error_code error;
  if (symlinks_) {
    std::string target = link_target(file.path, etag_of(file));
    if (symlink(target.c_str(), pointer.c_str()) == 0) return;
    if (errno == EEXIST) {  // another process's, or an older one that does not hold
      if (has(commit, file)) return;
      fs::remove(pointer, error);
      if (symlink(target.c_str(), pointer.c_str()) == 0 || has(commit, file)) return;
    }
  }
  if (has(commit, file)) return;  // renaming one name of these bytes to another would leave both
  // No links here: a second name for the same bytes, or a copy of them.
  fs::path real = fs::canonical(source, error);
  if (error) throw_os_error(source, "cannot be read", error.value());
  fs::path beside = source;
  beside += ".copy.incomplete";
  fs::remove(beside, error);
  fs::create_hard_link(real, beside, error);
  if (error) fs::copy_file(real, beside, fs::copy_options::overwrite_existing, error);
  if (!error) fs::rename(beside, pointer, error);
  if (error) throw_os_error(pointer, "cannot be put in place", error.value());
}

bool RepoCache::known_missing(const std::string& commit, const std::string& path) const {
  std::error_code error;
  return fs::is_regular_file(folder_ / ".no_exist" / commit / path, error);
}

void RepoCache::remember_missing(const std::string& commit, const std::string& path) const try {
  make_folder(folder_);
  write_whole(folder_ / ".no_exist" / commit / path, "", folder_);
} catch (const Error&) {
  // It is asked for again, then.
}

}  // namespace graft
