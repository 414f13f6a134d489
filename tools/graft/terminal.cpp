#include "terminal.h"

#include <unistd.h>

#include <cstdlib>

namespace graft {

std::string styled(std::string_view text, Style style, bool on_stderr) {
  const char* no_color = std::getenv("NO_COLOR");
  if ((no_color && *no_color) || !isatty(on_stderr ? STDERR_FILENO : STDOUT_FILENO)) return std::string(text);
  const char* code = style == Style::bold    ? "1"
                     : style == Style::red   ? "31"
                     : style == Style::green ? "32"
                     : style == Style::dim   ? "2"
                                             : "33";
  return std::string("\033[") + code + "m" + std::string(text) + "\033[0m";
}

std::string printable(std::string_view text) {
  std::string safe(text);
  for (char& c : safe)
    if ((static_cast<unsigned char>(c) < ' ' && c != '\n') || c == 0x7f) c = '?';
  return safe;
}

}  // namespace graft
