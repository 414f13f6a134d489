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

bool is_commit(std::string_view text) {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

/// Tags before branches, so that highest_version, which keeps the first of equals, prefers them.
std::optional<ResolvedRevision> highest(const Refs& refs, const VersionRange* range) {
  std::vector<std::string> names, commits;
  for (const auto* group : {&refs.tags, &refs.branches})
    for (const auto& [name, commit] : *group) {
      names.push_back(name);
      commits.push_back(commit);
    }
  auto index = highest_version(names, range);
  if (!index) return std::nullopt;
  return ResolvedRevision{names[*index], commits[*index]};
}

[[noreturn]] void not_found(const Refs& refs, const std::string& repo, const std::string& why) {
  throw Error(ErrorCode::not_found, "kernel repo " + repo, why,
              "tags: " + list_of(refs.tags) + "; branches: " + list_of(refs.branches));
}

}  // namespace

ResolvedRevision resolve_revision(const Refs& refs, const std::string& revision, const std::string& repo) {
  if (revision.empty()) {
    if (auto found = highest(refs, nullptr)) return *found;
    if (auto main = refs.branches.find("main"); main != refs.branches.end())
      return {main->first, main->second};
    not_found(refs, repo, "has neither a version nor a branch main");
  }
  if (VersionRange::is_range(revision)) {
    VersionRange range = VersionRange::parse(revision);
    if (auto found = highest(refs, &range)) return *found;
    not_found(refs, repo, "has no version in " + revision);
  }
  for (const auto* group : {&refs.tags, &refs.branches})
    if (auto it = group->find(revision); it != group->end()) return {it->first, it->second};
  if (is_commit(revision)) return {revision, revision};
  not_found(refs, repo, "has no tag, branch or commit " + revision);
}

}  // namespace graft
