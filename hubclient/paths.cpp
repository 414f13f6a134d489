// Names that come from outside, of repos, revisions and paths: what they may look like.
#include <algorithm>

#include "graft/error.h"
#include "graft/hub.h"

namespace graft {
namespace {

constexpr std::size_t kMaxName = 96;  // the Hugging Face Hub's limit

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-';
}

bool is_name(std::string_view name) {
  auto at_an_end = [](char c) { return c != '.' && c != '-'; };
  return !name.empty() && name.size() <= kMaxName && at_an_end(name.front()) && at_an_end(name.back()) &&
         name.find("..") == name.npos && std::all_of(name.begin(), name.end(), is_name_byte);
}

}  // namespace

void check_repo_name(std::string_view name) {
  std::size_t slash = name.find('/');
  auto refuse = [&](const char* why) {
    throw Error(ErrorCode::invalid_argument, "repo \"" + std::string(name) + "\"", why, "write it as in graft-kernels/norm");
  };
  if (slash == name.npos || !is_name(name.substr(0, slash)) || !is_name(name.substr(slash + 1)))
    refuse("is not of the form org/name, each of letters, digits, '.', '_' and '-', with a letter, digit or '_' at both ends");
  // The cache's folders are called kernels--org--name: two repos would share one.
  if (name.find("--") != name.npos) refuse("holds \"--\", which no repo's name may");
  if (name.ends_with(".git")) refuse("ends in \".git\", which no repo's name may");
}

bool is_commit(std::string_view text) {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

std::optional<Revision> find_revision(const Refs& refs, const std::string& name) {
  for (const auto* group : {&refs.tags, &refs.branches})
    if (auto it = group->find(name); it != group->end()) return Revision{it->first, it->second};
  if (is_commit(name)) return Revision{name, name};
  return std::nullopt;
}

std::string label(const RepoId& repo) {
  return (repo.kind == RepoKind::kernel ? "kernel repo " : "model repo ") + repo.name;
}

void check_inside(std::string_view path) {
  auto refuse = [&](const char* why) {
    throw Error(ErrorCode::invalid_argument, "path \"" + std::string(path.substr(0, path.find('\0'))) + "\"",
                why, "a path inside a repo is relative and has no \"..\"");
  };
  if (path.empty()) return;
  if (path.find('\0') != path.npos) refuse("holds a NUL byte");
  if (path.find('\\') != path.npos) refuse("holds a backslash");
  if (path.size() >= 2 && path[1] == ':' && is_name_byte(path[0])) refuse("begins with a drive letter");
  for (std::size_t begin = 0; begin <= path.size();) {
    std::size_t end = std::min(path.find('/', begin), path.size());
    std::string_view component = path.substr(begin, end - begin);
    if (component.empty()) refuse(begin == 0 ? "is absolute" : "has an empty component");
    if (component == "." || component == "..") refuse("tries to leave its folder");
    begin = end + 1;
  }
}

}  // namespace graft
