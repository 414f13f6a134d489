// HttpClient: requests over libcurl, on connections that are kept for the next ones.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "graft/error.h"
#include "graft/hub_options.h"

namespace graft {

/// By name in lower case; of a header that comes twice, the last.
using HttpHeaders = std::map<std::string, std::string>;

struct HttpResponse {
  int status = 0;
  std::string url = {};        // that answered, behind all redirects
  HttpHeaders headers = {};    // its own
  HttpHeaders redirects = {};  // of the redirects on the way there, later ones over earlier ones
  std::string body = {};       // empty if on_body took it
  std::chrono::milliseconds retry_after{0};

  /// A header's value, or "".
  const std::string& header(const std::string& name) const;
  bool is_redirect() const;
};

struct HttpRequest {
  std::string url;
  bool head = false;                          // HEAD instead of GET: no body
  std::vector<std::string> headers = {};      // "Range: bytes=0-99"
  std::chrono::milliseconds timeout{10'000};  // to connect, and without a byte
  std::uint64_t max_body = 64u << 20;         // bytes; more is Error(corrupt)
  int retries = 0;                            // as long as on_body has had nothing
  std::stop_token stop = {};

  /// Asked at each response, redirects too, before its body: false ends the request there. May throw.
  std::function<bool(const HttpResponse&)> accept = {};

  /// Takes the body of a 2xx answer as it comes. May throw, which ends the request.
  std::function<void(std::string_view)> on_body = {};
};

/// Thread-safe; requests of several threads run at once, each on a connection of its own.
class HttpClient {
 public:
  explicit HttpClient(const HubOptions& options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;

  /// GET, following redirects, of which none leads from https to http. The token goes along as long as the
  /// origin is the endpoint's. Any status is a response, not an error. Throws Error: offline (cannot be
  /// reached), timed_out, untrusted (certificate), unavailable (the connection broke, redirects in circles),
  /// corrupt (too long), cancelled.
  HttpResponse get(const HttpRequest& request);

 private:
  struct Transfer;
  struct Handles;
  HttpResponse get_following(const HttpRequest& request, bool& body_begun);
  HttpResponse exchange(const HttpRequest& request, const std::string& url, bool& body_begun, bool& ended);

  HubOptions options_;
  std::string endpoint_origin_;
  std::unique_ptr<Handles> handles_;
};

/// How often, and after which wait, something that failed is tried again.
class Retry {
 public:
  Retry(const HubOptions& options, int retries, std::stop_token stop)
      : wait_(options.retry_wait), first_wait_(options.retry_wait), retries_(retries), left_(retries), stop_(stop) {}

  /// Whether this may go better next time; if so, waits for that, at least `retry_after`. Throws
  /// Error(cancelled).
  bool again(ErrorCode code, std::chrono::milliseconds retry_after = {});

  /// Something went well: begins to count anew.
  void reset();

 private:
  std::chrono::milliseconds wait_, first_wait_;
  int retries_, left_;
  std::stop_token stop_;
};

/// Whether the answer says "not now": 408, 429 and 5xx.
bool is_unavailable(int status);

}  // namespace graft
