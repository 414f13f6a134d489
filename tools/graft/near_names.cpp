#include "near_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace graft {
namespace {

constexpr std::size_t kFew = 8;

/// Letters to change, add or take away.
std::size_t distance(const std::string& one, const std::string& other) {
  std::vector<std::size_t> row(other.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < one.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < other.size(); ++j) {
      std::size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (one[i] != other[j])});
      diagonal = above;
    }
  }
  return row.back();
}

std::string name_in(const std::string& repo) {
  return repo.substr(repo.find('/') + 1);
}

}  // namespace

std::string near_names(const std::string& wanted, const std::vector<std::string>& names) {
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const std::string& name : names) {
    std::size_t far = name_in(name) == name_in(wanted) ? 0 : distance(name, wanted);
    if (far <= std::max<std::size_t>(2, wanted.size() / 4)) near.emplace_back(far, name);
  }
  std::sort(near.begin(), near.end());
  near.erase(std::unique(near.begin(), near.end()), near.end());
  std::vector<std::string> words;
  for (std::size_t i = 0; i < near.size() && i < 3; ++i) words.push_back(near[i].second);
  if (!words.empty()) return fmt::format("did you mean {}?", fmt::join(words, " or "));
  if (names.empty() || names.size() > kFew) return "";
  return fmt::format("there are: {}", fmt::join(names, ", "));
}

}  // namespace graft
