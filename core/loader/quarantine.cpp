#include "graft/quarantine.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "graft/error.h"
#include "json_text.h"
#include "log.h"
#include "state_file.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxRecord = 64 << 10;  // bytes
constexpr std::size_t kMinDigits = 8;
constexpr std::string_view kPrefix = "sha256:", kSuffix = ".json";

fs::path folder() {
  fs::path state = state_folder();
  return state.empty() ? state : state / "quarantine";
}

fs::path record_of(std::string_view hex) {
  return folder() / (std::string(hex) + std::string(kSuffix));
}

std::string now() {
  std::time_t seconds = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

/// Whatever is wrong with a record, its digest stays quarantined.
QuarantinedDigest read_record(std::string_view hex) {
  QuarantinedDigest found{std::string(kPrefix) + std::string(hex), "", "", "an unknown day", ""};
  const std::string file = record_of(hex).string();
  try {
    detail::Json object = detail::parse_object(detail::read_text(file, kMaxRecord), file);
    detail::Fields fields(object, file);
    found.name = fields.optional_text("name").value_or("");
    found.reason = fields.text("reason");
    found.when = fields.text("when");
    found.graft_version = fields.optional_text("graft_version").value_or("");
  } catch (const std::exception& e) {
    found.reason = std::string("its record cannot be read: ") + e.what();
  }
  return found;
}

/// The hex digits of all records. Throws Error(io).
std::vector<std::string> records() {
  std::vector<std::string> found;
  fs::path place = folder();
  std::error_code error;
  if (place.empty()) return found;
  fs::directory_iterator files(place, error);
  if (error == std::errc::no_such_file_or_directory) return found;
  for (; !error && files != fs::directory_iterator(); files.increment(error)) {
    std::string name = files->path().filename().string();
    if (!name.ends_with(kSuffix)) continue;
    name.resize(name.size() - kSuffix.size());
    if (!hex_of(std::string(kPrefix) + name).empty()) found.push_back(std::move(name));
  }
  if (error)
    throw Error(ErrorCode::io, "the quarantine", place.string() + ": " + error.message(),
                "check that the folder can be read, or set GRAFT_STATE_DIR");
  return found;
}

}  // namespace

fs::path state_folder() {
  auto absolute = [](const char* name) {
    const char* value = std::getenv(name);
    return value && *value == '/' ? fs::path(value) : fs::path();  // relative ones are ignored, as XDG says
  };
  if (const char* set = std::getenv("GRAFT_STATE_DIR"); set && *set) return fs::absolute(set);
  if (fs::path state = absolute("XDG_STATE_HOME"); !state.empty()) return state / "graft";
  if (fs::path home = absolute("HOME"); !home.empty()) return home / ".local/state/graft";
  return {};
}

std::vector<QuarantinedDigest> list_quarantine() {
  std::vector<QuarantinedDigest> found;
  for (const std::string& hex : records()) found.push_back(read_record(hex));
  std::sort(found.begin(), found.end(), [](const QuarantinedDigest& a, const QuarantinedDigest& b) {
    return a.when != b.when ? a.when > b.when : a.digest < b.digest;
  });
  return found;
}

std::optional<QuarantinedDigest> find_quarantined(std::string_view digest) {
  std::string_view hex = hex_of(digest);
  if (hex.empty() || folder().empty()) return std::nullopt;
  struct stat status {};
  if (lstat(record_of(hex).c_str(), &status) != 0) return std::nullopt;
  return read_record(hex);
}

bool quarantine(std::string_view digest, std::string_view name, std::string_view reason) {
  std::string_view hex = hex_of(digest);
  if (hex.empty())
    throw Error(ErrorCode::invalid_argument, "quarantine of " + std::string(digest),
                "it is no digest of a library", "give sha256: and 64 hex digits");
  if (find_quarantined(digest)) return true;
  nlohmann::ordered_json record = {{"digest", digest},
                                   {"name", name},
                                   {"reason", reason},
                                   {"when", now()},
                                   {"graft_version", GRAFT_VERSION}};
  std::string text = record.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  fs::path file = folder().empty() ? fs::path() : record_of(hex);
  if (!file.empty() && text.size() <= kMaxRecord && write_state_file(file, text)) return true;
  log(LogLevel::warning, name,
      "it cannot be quarantined, and will be tried again: " +
          (file.empty() ? std::string("no state folder; set GRAFT_STATE_DIR")
                        : file.string() + ": " + std::strerror(errno)));
  return false;
}

std::string lift_quarantine(std::string_view digest) {
  std::string_view digits = digest;
  if (digits.starts_with(kPrefix)) digits.remove_prefix(kPrefix.size());
  if (digits.size() < kMinDigits || digits.find_first_not_of("0123456789abcdef") != digits.npos)
    throw Error(ErrorCode::invalid_argument, "quarantine of " + std::string(digest),
                "it is no digest of a library", "give sha256: and 8 hex digits or more");
  std::vector<std::string> found = records();
  std::erase_if(found, [&](const std::string& hex) { return !hex.starts_with(digits); });
  if (found.size() != 1)
    throw Error(ErrorCode::not_found, "quarantine of " + std::string(digest),
                found.empty() ? "it is not quarantined" : "several digests begin so",
                "see which are: graft quarantine");
  if (unlink(record_of(found.front()).c_str()) != 0 && errno != ENOENT)
    throw Error(ErrorCode::io, "quarantine of " + std::string(digest),
                record_of(found.front()).string() + ": " + std::strerror(errno),
                "check the folder's permissions");
  return std::string(kPrefix) + found.front();
}

}  // namespace graft
