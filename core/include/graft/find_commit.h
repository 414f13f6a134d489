// From a repo's name and a revision to a commit and its files.
#pragma once

#include <string>
#include <vector>

#include "graft/hub.h"

namespace graft {

/// A repo at a commit, as its Hub lists it.
struct FoundCommit {
  RepoId repo;
  Revision revision;
  std::vector<HubFile> files;  // all of the commit's, sorted by path
  Refs refs = {};              // the repo's, by which the revision was found; empty where a commit was asked for
  std::string note;            // not empty: this is from the cache, which may be behind the Hub, and why
};

/// `revision` as in a kernel's reference: "" (the highest version, else main), "v1.2.0", "main", ">=2.0,<3.0",
/// or a commit, for which nothing is asked that the cache can answer. Throws Error, as Hub; revision_not_found
/// lists what there is.
FoundCommit find_commit(Hub& hub, const RepoId& repo, const std::string& revision);

/// The repo of kind kernel, else that of kind model, which kernels' repos once were and many still are.
FoundCommit find_kernel(Hub& hub, const std::string& name, const std::string& revision);

/// The variants of a commit: the folders below build/ that hold files.
std::vector<std::string> variants_of(const std::vector<HubFile>& files);

/// Those of `files` that are one variant's, by their paths in the repo; none for an empty name.
std::vector<HubFile> files_of_variant(const std::vector<HubFile>& files, const std::string& variant);

}  // namespace graft
