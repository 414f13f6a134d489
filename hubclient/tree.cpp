#include "graft/tree.h"

#include <algorithm>

#include "graft/error.h"
#include "graft/hash.h"

namespace graft {
namespace fs = std::filesystem;

void check_within(const fs::path& path, const fs::path& boundary) {
  fs::path real = fs::weakly_canonical(path), root = fs::weakly_canonical(boundary);
  auto [at_root, at_real] = std::mismatch(root.begin(), root.end(), real.begin(), real.end());
  if (at_root != root.end())
    throw Error(ErrorCode::corrupt, "link " + path.string(), "leads out of " + boundary.string(),
                "replace the link by the file itself");
}

std::vector<HubFile> list_tree(const fs::path& folder, const fs::path& boundary) try {
  std::vector<HubFile> files;
  for (auto it = fs::recursive_directory_iterator(folder); it != fs::end(it); ++it) {
    const fs::directory_entry& item = *it;
    if (item.path().filename() == ".git") {  // an author's working copy: its history is no part of the commit
      it.disable_recursion_pending();
      continue;
    }
    if (item.is_symlink()) {
      check_within(item.path(), boundary);
      if (item.is_directory())
        throw Error(ErrorCode::corrupt, "link " + item.path().string(), "stands for a folder",
                    "replace the link by the folder itself");
    } else if (item.is_directory()) {
      continue;
    }
    if (!item.is_regular_file())
      throw Error(ErrorCode::corrupt, "file " + item.path().string(), "is no regular file", "remove it");
    files.push_back({item.path().lexically_relative(folder).generic_string(), item.file_size()});
  }
  std::sort(files.begin(), files.end(), [](const HubFile& a, const HubFile& b) { return a.path < b.path; });
  return files;
} catch (const fs::filesystem_error& e) {
  throw Error(ErrorCode::io, "folder " + folder.string(), e.code().message(),
              "check that it exists and its permissions");
}

std::string content_commit(const fs::path& folder) {
  Hasher commit("sha256");
  for (const HubFile& file : list_tree(folder, folder)) {
    commit.update(file.path);
    commit.update(std::string_view("\0", 1));
    commit.update(std::to_string(file.size));
    commit.update(std::string_view("\0", 1));
    std::vector<unsigned char> content = hash_file(folder / file.path, "sha256");
    commit.update(content.data(), content.size());
  }
  return to_hex(commit.finish()).substr(0, 40);
}

}  // namespace graft
