// The environment variables that huggingface_hub reads, as it reads them.
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "graft/error.h"
#include "graft/hub_options.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

/// The first of these variables that is set and not empty.
std::string variable(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const char* value = std::getenv(name); value && *value) return value;
  return {};
}

bool is_true(std::initializer_list<const char*> names) {
  std::string value = variable(names);
  std::transform(value.begin(), value.end(), value.begin(), [](unsigned char c) { return std::toupper(c); });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

std::string home_folder() {
  if (std::string home = variable({"HOME"}); !home.empty()) return home;
  const passwd* user = getpwuid(getuid());
  return user && user->pw_dir ? user->pw_dir : "/";
}

/// "~/x" and "$HOME/x" as a shell would take them; absolute.
fs::path expanded(std::string text) {
  if (text == "~" || text.starts_with("~/")) text.replace(0, 1, home_folder());
  for (std::size_t at = text.find('$'); at != text.npos; at = text.find('$', at)) {
    bool braces = at + 1 < text.size() && text[at + 1] == '{';
    std::size_t begin = at + (braces ? 2 : 1), end = begin;
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) || text[end] == '_')) ++end;
    const char* value = std::getenv(text.substr(begin, end - begin).c_str());
    bool closed = !braces || (end < text.size() && text[end] == '}');
    if (!value || end == begin || !closed) {  // as Python's expandvars, which leaves it
      ++at;
      continue;
    }
    text.replace(at, end + (braces ? 1 : 0) - at, value);
    at += std::string_view(value).size();
  }
  return fs::absolute(text).lexically_normal();
}

fs::path path_variable(std::initializer_list<const char*> names, const fs::path& otherwise) {
  std::string value = variable(names);
  return value.empty() ? otherwise : expanded(value);
}

fs::path hf_home() {
  if (std::string home = variable({"HF_HOME"}); !home.empty()) return expanded(home);
  return path_variable({"XDG_CACHE_HOME"}, expanded("~/.cache")) / "huggingface";
}

std::chrono::milliseconds seconds_variable(const char* name, std::chrono::milliseconds otherwise) {
  std::string value = variable({name});
  if (value.empty()) return otherwise;
  char* end = nullptr;
  double seconds = std::strtod(value.c_str(), &end);
  if (*end || !(seconds >= 0) || seconds > 86400)
    throw Error(ErrorCode::invalid_argument, std::string(name) + "=" + value, "is no number of seconds",
                "set it to whole seconds, as in " + std::string(name) + "=10, or unset it");
  // 0 is huggingface_hub's "as if not set".
  return seconds == 0 ? otherwise : std::chrono::milliseconds(static_cast<long>(seconds * 1000));
}

/// A token travels in a header: one with a control byte in it would carry a further header along.
std::string clean_token(std::string token, const std::string& from) {
  auto is_space = [](unsigned char c) { return std::isspace(c); };
  while (!token.empty() && is_space(token.back())) token.pop_back();
  token.erase(token.begin(), std::find_if_not(token.begin(), token.end(), is_space));
  if (std::any_of(token.begin(), token.end(), [](unsigned char c) { return c <= ' ' || c >= 0x7f; }))
    throw Error(ErrorCode::invalid_argument, "the token in " + from, "holds bytes that no token has",
                "write the token alone there, or unset it");
  return token;
}

std::string find_token(const fs::path& home) {
  if (is_true({"HF_HUB_DISABLE_IMPLICIT_TOKEN"})) return {};
  if (std::string set = variable({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}); !set.empty())
    return clean_token(set, "HF_TOKEN");
  fs::path file = path_variable({"HF_TOKEN_PATH"}, home / "token");
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  std::ifstream in(file);
  std::string token;
  if (!std::getline(in, token) && !in.eof())
    throw Error(ErrorCode::io, "token file " + file.string(), "cannot be read", "mend its permissions, or remove it");
  return clean_token(token, file.string());
}

}  // namespace

HubOptions HubOptions::from_environment() {
  HubOptions options;
  fs::path home = hf_home();
  if (std::string endpoint = variable({"HF_ENDPOINT"}); !endpoint.empty()) options.endpoint = endpoint;
  options.token = find_token(home);
  options.offline = is_true({"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"});
  options.cache_dir = path_variable({"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}, home / "hub");
  options.kernels_cache_dir = path_variable({"KERNELS_CACHE"}, options.cache_dir);
  options.symlinks = !is_true({"HF_HUB_DISABLE_SYMLINKS"});
  options.shared_blobs = !is_true({"HF_HUB_DISABLE_SHARED_BLOBS"}) && !is_true({"HF_HUB_DISABLE_XET"});
  options.metadata_timeout = seconds_variable("HF_HUB_ETAG_TIMEOUT", options.metadata_timeout);
  options.download_timeout = seconds_variable("HF_HUB_DOWNLOAD_TIMEOUT", options.download_timeout);
  options.ca_file = path_variable({"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}, {});
  options.ca_folder = path_variable({"SSL_CERT_DIR"}, {});
  if (isatty(STDERR_FILENO) && !is_true({"HF_HUB_DISABLE_PROGRESS_BARS"})) options.progress = terminal_progress();
  return options;
}

}  // namespace graft
