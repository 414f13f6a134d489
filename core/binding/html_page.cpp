#include "html_page.h"

#include "graft/hash.h"

namespace graft {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --text: #1c2024; --faint: #5f6873; --line: #d9dde2; --page: #ffffff;
        --good: #1c7a4a; --warn: #8a5a00; --bad: #c4302b; --accent: #2467c9; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ed; --faint: #98a2ad; --line: #363c44; --page: #15181c;
          --good: #55c58c; --warn: #e3b341; --bad: #ff7a70; --accent: #6aa5ff; } }
body { margin: 2rem auto; max-width: 68rem; padding: 0 1rem; background: var(--page); color: var(--text);
       font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
)";

// A browser holds itself to it, whatever a plugin's names may say: nothing is fetched, and the one script is known by its hash.
std::string content_policy(const std::string& script) {
  std::string policy = "default-src 'none'; style-src 'unsafe-inline'";
  if (script.empty()) return policy;
  Hasher hasher("sha256");
  hasher.update(script);
  return policy + "; script-src 'sha256-" + to_base64(hasher.finish()) + "'";
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&': safe += "&amp;"; break;
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      case '"': safe += "&quot;"; break;
      case '\'': safe += "&#39;"; break;
      default: safe += static_cast<unsigned char>(c) < ' ' || c == 0x7f ? '?' : c;
    }
  }
  return safe;
}

std::string HtmlPage::str() const {
  std::string page = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n";
  page += "<meta http-equiv=\"Content-Security-Policy\" content=\"" + content_policy(script) + "\">\n";
  page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  if (refresh_seconds > 0) page += "<meta http-equiv=\"refresh\" content=\"" + std::to_string(refresh_seconds) + "\">\n";
  page += "<title>" + escaped(title) + "</title>\n<style>" + kStyle + style + "</style></head>\n<body>\n<h1>" + escaped(title) +
          "</h1>\n" + body;
  if (!script.empty()) page += "<script>" + script + "</script>\n";
  return page + "</body></html>\n";
}

}  // namespace graft
