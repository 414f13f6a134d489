// URLs, over libcurl's own parser, so that what is checked is what is connected to.
#pragma once

#include <string>
#include <string_view>

namespace graft {

/// "https://example.com:443": scheme, host in lower case, port (the scheme's if none is given). Throws
/// Error(invalid_argument) unless `url` is a whole http or https URL.
std::string origin_of(const std::string& url);

/// Where `location`, absolute or relative, leads from `base`. Throws Error(corrupt) for one that is no URL,
/// Error(untrusted) for one that leaves http and https or falls from https to http.
std::string redirected(const std::string& base, const std::string& location);

/// RFC 3986: everything but unreserved characters as %XX; slashes stay if `keep_slashes`.
std::string percent_encode(std::string_view text, bool keep_slashes);

}  // namespace graft
