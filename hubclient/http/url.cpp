#include "url.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "graft/error.h"

namespace graft {
namespace {

using Handle = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

std::string part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

std::string origin(CURLU* url) {
  std::string scheme = part(url, CURLUPART_SCHEME), host = part(url, CURLUPART_HOST);
  std::transform(host.begin(), host.end(), host.begin(), [](unsigned char c) { return std::tolower(c); });
  return scheme + "://" + host + ":" + part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

}  // namespace

std::string origin_of(const std::string& text) {
  Handle url(curl_url(), curl_url_cleanup);
  bool parsed = curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) == CURLUE_OK;
  std::string scheme = parsed ? part(url.get(), CURLUPART_SCHEME) : "";
  if ((scheme != "http" && scheme != "https") || part(url.get(), CURLUPART_HOST).empty())
    throw Error(ErrorCode::invalid_argument, "hub " + text, "is no address that Graft can open",
                "write https://host, http://host:port or file:///path (HF_ENDPOINT)");
  return origin(url.get());
}

std::string redirected(const std::string& base, const std::string& location) {
  Handle url(curl_url(), curl_url_cleanup);
  if (curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK)
    throw Error(ErrorCode::internal, "URL " + base, "cannot be parsed again", "please report it");
  std::string before = part(url.get(), CURLUPART_SCHEME);
  auto refuse = [&](ErrorCode code, const char* why) {
    throw Error(code, "redirect from " + base + " to " + location, why,
                "check HF_ENDPOINT and the proxy; the server that answers is set up wrongly, or no Hub");
  };
  if (location.empty() || curl_url_set(url.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK)
    refuse(ErrorCode::corrupt, "leads nowhere");
  std::string after = part(url.get(), CURLUPART_SCHEME);
  if (after != "http" && after != "https") refuse(ErrorCode::untrusted, "leaves http and https");
  if (before == "https" && after == "http") refuse(ErrorCode::untrusted, "falls from https to http");
  return part(url.get(), CURLUPART_URL);
}

std::string percent_encode(std::string_view text, bool keep_slashes) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (unsigned char c : text) {
    if ((c < 0x80 && std::isalnum(c)) || c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slashes)) {
      encoded += static_cast<char>(c);
    } else {
      encoded += '%';
      encoded += kDigits[c >> 4];
      encoded += kDigits[c & 15];
    }
  }
  return encoded;
}

}  // namespace graft
