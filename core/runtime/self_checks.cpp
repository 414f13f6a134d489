#include "self_checks.h"

#include "json_text.h"
#include "state_file.h"

namespace graft {
namespace {

/// Its file; empty if nothing can be remembered.
std::filesystem::path file_of(const std::filesystem::path& folder, const std::string& digest) {
  const std::string_view hex = hex_of(digest);
  return folder.empty() || hex.empty() ? std::filesystem::path() : folder / "self_checks" / (std::string(hex) + ".json");
}

detail::Json read(const std::filesystem::path& file) try {
  auto text = detail::read_text_if_there(file);
  return text ? detail::parse_object(*text, file.string()) : detail::Json::object();
} catch (const Error&) {
  return detail::Json::object();
}

}  // namespace

std::optional<std::string> SelfChecks::find(const std::string& digest, const std::string& what) const {
  const std::filesystem::path file = file_of(folder_, digest);
  if (file.empty()) return std::nullopt;
  const detail::Json known = read(file);
  const auto found = known.find(what);
  if (found == known.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

void SelfChecks::remember(const std::string& digest, const std::string& what, const std::string& complaint) const {
  const std::filesystem::path file = file_of(folder_, digest);
  if (file.empty()) return;
  detail::Json known = read(file);
  known[what] = complaint;
  write_state_file(file, known.dump(2) + "\n");  // what cannot be written is looked at again
}

}  // namespace graft
