// HtmlPage: a page that asks for nothing from elsewhere, in light and dark.
#pragma once

#include <string>
#include <string_view>

namespace graft {

/// What markup would be made of as its entities, control bytes as '?'. Names and messages come from a plugin, which may be a
/// stranger's.
std::string escaped(std::string_view text);

struct HtmlPage {
  std::string title;  // any text; also the page's heading
  std::string style;  // CSS, over what all pages share
  std::string body;   // markup, below the heading
  std::string script = {};  // JavaScript; the page's policy lets no other run
  int refresh_seconds = 0;  // 0: never

  std::string str() const;
};

}  // namespace graft
