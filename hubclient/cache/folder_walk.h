// Folders of the cache as they are, without following a link.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace graft {

/// A folder itself, no link to one.
bool is_folder(const std::filesystem::path& path);

/// What the folder holds; nothing if it is gone, or a link. Throws Error(io) if it cannot be read: what is in
/// it then counts, and must not be taken for nothing.
std::vector<std::filesystem::path> entries(const std::filesystem::path& folder);

/// Tells of each file and link below the folder. Throws Error(io), as entries().
void walk_folder(const std::filesystem::path& folder,
                 const std::function<void(const std::filesystem::path&)>& tell);

/// The path that a link names, with ".." taken out; empty if it is no link. Where it is does not matter, what
/// stands there neither.
std::filesystem::path target_of_link(const std::filesystem::path& link);

/// The same by name, or by where links on the way lead: absolute links name the cache as it was named to
/// Python.
bool is_same_folder(const std::filesystem::path& one, const std::filesystem::path& other);

/// The commit that a file of refs/ names; "" if it is no regular file, or names none.
std::string commit_in(const std::filesystem::path& ref);

}  // namespace graft
