#include "self_checks.h"

#include <map>
#include <mutex>

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

/// What this process has found or read, so that binding again opens no file.
class Seen {
 public:
  static Seen& shared() {
    static auto* instance = new Seen;  // never destroyed: models with static storage bind late
    return *instance;
  }
  std::optional<std::string> find(const std::filesystem::path& file, const std::string& what) {
    const std::lock_guard lock(mutex_);
    const auto found = complaints_.find({file, what});
    return found != complaints_.end() ? std::optional(found->second) : std::nullopt;
  }
  void add(const std::filesystem::path& file, const std::string& what, const std::string& complaint) {
    const std::lock_guard lock(mutex_);
    complaints_[{file, what}] = complaint;
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::string> complaints_;
};

}  // namespace

std::optional<std::string> SelfChecks::find(const std::string& digest, const std::string& what) const {
  const std::filesystem::path file = file_of(folder_, digest);
  if (file.empty()) return std::nullopt;
  if (auto seen = Seen::shared().find(file, what)) return seen;
  const detail::Json known = read(file);
  const auto found = known.find(what);
  if (found == known.end() || !found->is_string()) return std::nullopt;
  Seen::shared().add(file, what, found->get<std::string>());
  return found->get<std::string>();
}

void SelfChecks::remember(const std::string& digest, const std::string& what, const std::string& complaint) const {
  const std::filesystem::path file = file_of(folder_, digest);
  if (file.empty()) return;
  Seen::shared().add(file, what, complaint);
  detail::Json known = read(file);
  known[what] = complaint;
  write_state_file(file, known.dump(2) + "\n");  // what cannot be written is looked at again
}

}  // namespace graft
