#include "revision.h"

#include <optional>
#include <vector>

#include "graft/error.h"
#include "graft/version.h"

namespace graft {
namespace {

std::string list_of(const std::map<std::string, std::string>& refs) {
  constexpr std::size_t kMost = 20;
  std::string text;
  std::size_t shown = 0;
  for (auto it = refs.rbegin(); it != refs.rend() && shown < kMost; ++it, ++shown)
    text += (text.empty() ? "" : ", ") + it->first;
  if (refs.size() > kMost) text += ", …";
  return text.empty() ? "none" : text;
}

/// Tags before branches, so that highest_version, which keeps the first of equals, prefers them.
std::optional<Revision> highest(const Refs& refs, const VersionRange* range) {
  std::vector<std::string> names, commits;
  for (const auto* group : {&refs.tags, &refs.branches})
    for (const auto& [name, commit] : *group) {
      names.push_back(name);
      commits.push_back(commit);
    }
  auto index = highest_version(names, range);
  if (!index) return std::nullopt;
  return Revision{names[*index], commits[*index]};
}

bool is_number(const std::string& text) {
  return text.find_first_not_of("0123456789") == text.npos;
}

[[noreturn]] void not_found(const Refs& refs, const std::string& what, const std::string& why) {
  throw Error(ErrorCode::revision_not_found, what, why,
              "tags: " + list_of(refs.tags) + "; branches: " + list_of(refs.branches));
}

}  // namespace

Revision resolve_revision(const Refs& refs, const std::string& revision, const std::string& what) {
  if (revision.empty()) {
    if (auto found = highest(refs, nullptr)) return *found;
    if (auto main = refs.branches.find("main"); main != refs.branches.end())
      return {main->first, main->second};
    not_found(refs, what, "has neither a version nor a branch main");
  }
  if (VersionRange::is_range(revision)) {
    VersionRange range = VersionRange::parse(revision);
    if (auto found = highest(refs, &range)) return *found;
    not_found(refs, what, "has no version in " + revision);
  }
  if (is_number(revision))  // HF kernels' version=2 is branch v2
    if (auto branch = refs.branches.find("v" + revision); branch != refs.branches.end()) return {branch->first, branch->second};
  if (auto found = find_revision(refs, revision)) return *found;
  if (is_number(revision))
    if (auto tag = refs.tags.find("v" + revision); tag != refs.tags.end()) return {tag->first, tag->second};
  not_found(refs, what, "has no tag, branch or commit " + revision);
}

}  // namespace graft
