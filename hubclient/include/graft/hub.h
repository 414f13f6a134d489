// Hub: what a Hub holds, as refs, trees and files. It has no idea of kernels.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

enum class RepoKind { kernel, model };

/// A repo: "graft-kernels/norm" of kind kernel. Two path components of [A-Za-z0-9._-], none of them beginning
/// with a dot or a dash, each at most 96 bytes.
struct RepoId {
  RepoKind kind = RepoKind::kernel;
  std::string name;
};

/// Names → commits (40 hex digits).
struct Refs {
  std::map<std::string, std::string> tags;
  std::map<std::string, std::string> branches;
};

struct HubFile {
  std::string path;  // inside the repo, with slashes: "build/graft1-cpu-x86_64-linux/norm.so"
  std::uint64_t size = 0;
};

/// One Hub. Every function may be called from any thread, at once.
/// All throw Error: not_found names what is missing and what there is instead, invalid_argument a name that
/// tries to leave its folder (.., absolute, NUL, empty components), corrupt a repo whose links lead out of
/// it, io the rest.
class Hub {
 public:
  virtual ~Hub() = default;

  /// "file:///usr/share/graft/hub".
  virtual const std::string& endpoint() const = 0;

  /// The repos of a kind, sorted by name.
  virtual std::vector<std::string> repos(RepoKind kind) = 0;
  virtual bool has(const RepoId& repo) = 0;
  virtual Refs refs(const RepoId& repo) = 0;

  /// The files below `prefix` ("": all) at `commit`, sorted by path. A missing prefix is an empty list.
  virtual std::vector<HubFile> list(const RepoId& repo, const std::string& commit,
                                    std::string_view prefix) = 0;

  /// Makes the files below `prefix` local; the folder that stands for `prefix` itself. Its files belong to
  /// the Hub: read them, never write. What is read from it is checked by the caller (see trust.h), not by the
  /// Hub.
  virtual std::filesystem::path fetch(const RepoId& repo, const std::string& commit,
                                      std::string_view prefix) = 0;
};

/// Opens the Hub at "file:///path" (a plain folder:
/// kernels/<org>/<name>/{refs/heads,refs/tags,commits/<commit>}; a repo folder without refs/ is one commit
/// named by its content, on branch main). Throws Error: not_found for a missing folder, unsupported for other
/// schemes.
std::shared_ptr<Hub> open_hub(const std::string& endpoint);

/// The name of the commit that holds exactly the files of `folder`: the first 40 hex digits of the SHA-256
/// over each file's path, size and SHA-256, in order of path. Throws Error(io), Error(corrupt) for links
/// leading out.
std::string content_commit(const std::filesystem::path& folder);

/// Throws Error(invalid_argument) unless `name` is a RepoId's name (`what` begins the message).
void check_repo_name(std::string_view name);

/// Throws Error(invalid_argument) unless `path` is relative and stays inside: no "..", ".", empty component,
/// NUL or backslash. The empty path is fine.
void check_inside(std::string_view path);

}  // namespace graft
