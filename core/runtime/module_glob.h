// ModuleGlob: a pattern of module paths, and what its wildcards stand for in one.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// "model.layers.*.mlp", see FusionMember::module. Immutable.
class ModuleGlob {
 public:
  explicit ModuleGlob(std::string_view pattern);

  size_t wildcards() const;
  /// The text of each wildcard; nothing if the path does not match. Where several readings fit, the first wildcard takes the most.
  std::optional<std::vector<std::string>> match(std::string_view path) const;
  /// The path that has these texts: match() of it gives them again.
  std::string fill(const std::vector<std::string>& texts) const;

 private:
  struct Part {
    enum Kind { literal, any, one, set } kind;
    std::string text;     // of a literal
    std::string members;  // of a set, ranges written out
    bool negated = false;
  };
  bool match_from(size_t part, std::string_view rest, std::vector<std::string>& texts) const;
  std::vector<Part> parts_;
};

}  // namespace graft
