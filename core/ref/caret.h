// The error for a text that is off at one place.
#pragma once

#include <string>
#include <string_view>

#include "graft/error.h"

namespace graft {

/// Throws Error(invalid_argument) that shows `text` with a caret under byte `at`. Bytes that a terminal would
/// act on are shown as '?'.
[[noreturn]] inline void throw_at(std::string_view what, std::string_view text, std::size_t at,
                                  std::string why, std::string mend) {
  std::string shown(text.substr(0, 400));
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  std::string caret(std::min(at, shown.size()), ' ');
  throw Error(ErrorCode::invalid_argument, std::string(what) + " \"" + shown + "\"",
              why + "\n  " + shown + "\n  " + caret + "^\n", std::move(mend));
}

}  // namespace graft
