// Hub: what a Hub holds, as refs, trees and files. It has no idea of kernels.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "graft/hub_options.h"

namespace graft {

enum class RepoKind { kernel, model };

/// A repo: "graft-kernels/norm" of kind kernel. Two path components of [A-Za-z0-9._-], none of them beginning or ending
/// with a dot or a dash, each at most 96 bytes; no "--" or ".." in them, no ".git" at the end. Source: huggingface_hub's
/// validate_repo_id.
struct RepoId {
  RepoKind kind = RepoKind::kernel;
  std::string name;
  bool operator==(const RepoId&) const = default;
};

/// "kernel repo graft-kernels/norm", for messages.
std::string label(const RepoId& repo);

/// Names → commits (40 hex digits).
struct Refs {
  std::map<std::string, std::string> tags = {};
  std::map<std::string, std::string> branches = {};

  /// Why these are those of the cache: what is fetched by them may be older than what the Hub has. Empty:
  /// the Hub itself said so. The cache does not know tags from branches: all of its refs are in `branches`.
  std::string stale = {};
};

/// A revision and what it came to.
struct Revision {
  std::string name;    // the branch or tag: "main", "v1.2.0"; the commit itself if that was asked for
  std::string commit;  // 40 hex digits
};

struct RepoInfo {
  std::string commit;  // of the revision that was asked for
  bool is_private = false;
  bool gated = false;         // its files are given to those alone whom its publisher has let in
  std::string last_modified = {};  // ISO 8601; empty if the Hub does not say
};

struct HubFile {
  std::string path;        // inside the repo, with slashes: "build/graft1-cpu-x86_64-linux/norm.so"
  std::uint64_t size = 0;  // bytes
  // What a Hub over HTTP says of its bytes; empty in a folder's.
  std::string oid = {};       // git's SHA-1 of the blob, hex; of an LFS file that of its pointer
  std::string sha256 = {};    // of an LFS file, hex; empty for others
  std::string xet_hash = {};  // by which huggingface_hub shares its blob between repos; empty if there is none
};

struct FetchOptions {
  std::stop_token stop = {};       // a request to stop ends the call with Error(cancelled), within a second
  ProgressCallback progress = {};  // instead of HubOptions::progress
};

/// One Hub. Every function may be called from any thread, at once.
/// All throw Error: not_found names what is missing and what there is instead, revision_not_found a revision,
/// invalid_argument a name that tries to leave its folder (.., absolute, NUL, empty components), corrupt what
/// does not hold what it promises or leads out of its folder, io and disk_full what the file system says.
/// Over HTTP also gated, unauthorized, offline, timed_out, unavailable, untrusted (the server's certificate)
/// and cancelled.
class Hub {
 public:
  virtual ~Hub() = default;

  /// "https://huggingface.co", "file:///usr/share/graft/hub".
  virtual const std::string& endpoint() const = 0;

  /// The repos of a kind that are on this machine, sorted by name: a folder's all, of a Hub over HTTP those
  /// in the cache.
  virtual std::vector<std::string> repos(RepoKind kind) = 0;
  virtual bool has(const RepoId& repo) = 0;

  /// Over HTTP, the cache's where the Hub is switched off or out of reach; see Refs::stale.
  virtual Refs refs(const RepoId& repo) = 0;

  /// `revision`: a branch, tag or commit.
  virtual RepoInfo info(const RepoId& repo, const std::string& revision) = 0;

  /// The files below `prefix` ("": all) at `commit`, sorted by path. A missing prefix is an empty list.
  /// Over HTTP, a commit's whole listing is kept in the cache and asked for once; where it is not kept and the
  /// Hub is switched off or out of reach, these are the files that the cache has.
  virtual std::vector<HubFile> list(const RepoId& repo, const std::string& commit,
                                    std::string_view prefix) = 0;

  /// Makes `files` (some of list()'s) local. Returns the folder that stands for the repo's top, where they
  /// lie by their paths; it belongs to the Hub: read, never write. Over HTTP each file is held against the
  /// SHA-1 or SHA-256 of the listing before it appears. What else is believed of it is the caller's decision
  /// (see trust.h).
  virtual std::filesystem::path fetch(const RepoId& repo, const Revision& revision,
                                      const std::vector<HubFile>& files,
                                      const FetchOptions& options = {}) = 0;

  /// One file at a branch, tag or commit, without a listing. Over HTTP one request asks whether it is still
  /// the one in the cache.
  virtual std::filesystem::path file(const RepoId& repo, const std::string& revision, const std::string& path,
                                     const FetchOptions& options = {}) = 0;
};

/// Opens the Hub at options.endpoint: "https://…" and "http://…" by the Hugging Face Hub's interface, or
/// "file:///path", a plain folder (kernels/<org>/<name>/{refs/heads,refs/tags,commits/<commit>}; a repo
/// folder without refs/ is one commit named by its content, on branch main). Makes no connection. Throws
/// Error: not_found for a missing folder, invalid_argument for an address that is none.
std::shared_ptr<Hub> open_hub(const HubOptions& options);

/// With HubOptions::from_environment() besides the endpoint.
std::shared_ptr<Hub> open_hub(const std::string& endpoint);

/// The name of the commit that holds exactly the files of `folder`: the first 40 hex digits of the SHA-256
/// over each file's path, size and SHA-256, in order of path. Throws Error(io), Error(corrupt) for links
/// leading out.
std::string content_commit(const std::filesystem::path& folder);

/// A branch, tag or commit by its exact name; of a tag and a branch of one name, the tag.
std::optional<Revision> find_revision(const Refs& refs, const std::string& name);

/// 40 lower-case hex digits.
bool is_commit(std::string_view text);

/// Throws Error(invalid_argument) unless `name` is a RepoId's name.
void check_repo_name(std::string_view name);

/// Throws Error(invalid_argument) unless `path` is relative and stays inside on any system: no "..", ".",
/// empty component, NUL, backslash or drive letter. The empty path is fine.
void check_inside(std::string_view path);

}  // namespace graft
