#include "local_overrides.h"

#include <algorithm>
#include <cstdlib>

#include "caret.h"

namespace graft {

LocalOverrides LocalOverrides::parse(std::string_view text) {
  LocalOverrides overrides;
  auto fail = [&](std::size_t at, std::string why) {
    throw_at("LOCAL_KERNELS", text, at, std::move(why), "write it as in LOCAL_KERNELS=org/name=/path/to/repo:org/other=/path");
  };
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(':', begin), text.size());
    const std::size_t equals = text.find('=', begin);
    if (equals >= end) fail(begin, "has an entry without '='");
    if (equals + 1 == end) fail(end, "has an empty path");
    const KernelRef repo = KernelRef::parse_in("LOCAL_KERNELS", text.substr(0, equals), begin);
    if (repo.is_local() || !repo.revision.empty()) fail(begin, "a repo is written org/name here");
    const std::filesystem::path path = std::filesystem::absolute(text.substr(equals + 1, end - equals - 1)).lexically_normal();
    if (!overrides.paths_.emplace(repo.repo, path).second) fail(begin, "names this repo twice");
    begin = end + 1;
  }
  return overrides;
}

LocalOverrides LocalOverrides::from_environment() {
  const char* text = std::getenv("LOCAL_KERNELS");
  return text && *text ? parse(text) : LocalOverrides();
}

KernelRef LocalOverrides::applied(const KernelRef& ref) const {
  auto found = paths_.find(ref.repo);
  if (ref.is_local() || found == paths_.end()) return ref;
  return {.repo = {}, .revision = {}, .entry = ref.entry, .local = found->second};
}

}  // namespace graft
