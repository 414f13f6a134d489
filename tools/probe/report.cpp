#include "report.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

namespace graft::probe {
namespace {

using nlohmann::json;

int report_fd = STDOUT_FILENO;

void write_all(std::string_view text) {
  while (!text.empty()) {
    ssize_t put = write(report_fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(put));
  }
}

void write_line(const json& object) {
  write_all(object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
}

/// Without allocating: `text` is one of ours and needs no escapes.
void write_plain(const char* before, const char* text, const char* after) {
  char line[256];
  std::size_t size = 0;
  for (const char* part : {before, text, after})
    for (; *part && size < sizeof line; ++part) line[size++] = *part;
  write_all({line, size});
}

}  // namespace

void report_to(int fd) {
  report_fd = fd;
}

void report_hello() {
  write_line({{"hello", GRAFT_VERSION}});
}

void report_stage(std::string_view stage, std::string_view entry) {
  if (entry.empty())
    write_line({{"stage", stage}});
  else
    write_line({{"stage", stage}, {"of", entry.substr(0, 200)}});
}

void report_note(std::string_view note) {
  write_line({{"note", note.substr(0, 500)}});
}

void report_error(const Error& error) {
  write_line({{"error",
               {{"code", name(error.code())},
                {"what", error.failed()},
                {"why", error.why()},
                {"mend", error.mend()}}}});
}

void report_ok() {
  write_line({{"ok", true}});
}

void report_memory(std::uint64_t bytes) {
  char digits[32];
  constexpr std::uint64_t kMost = INT64_MAX;
  *std::to_chars(digits, digits + sizeof digits - 1, bytes < kMost ? bytes : kMost).ptr = '\0';
  write_plain("{\"memory\":", digits, "}\n");
}

void report_denied(const char* what) {
  write_plain("{\"denied\":\"", what, "\"}\n");
}

void report_refused_call(const char* what) noexcept {
  write_plain("{\"note\":\"it was not let ", what, "\"}\n");
}

}  // namespace graft::probe
