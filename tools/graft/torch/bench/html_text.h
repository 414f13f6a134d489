// Text for a page: entry names and messages come from a plugin, which may be a stranger's.
#pragma once

#include <string>
#include <string_view>

namespace graft::bench {

/// What markup would be made of as its entities, control bytes as '?'.
inline std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += static_cast<unsigned char>(c) < ' ' || c == 0x7f ? '?' : c;
    }
  }
  return safe;
}

}  // namespace graft::bench
