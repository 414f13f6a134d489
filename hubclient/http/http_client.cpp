#include "http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <set>

#include "url.h"

namespace graft {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMaxRedirects = 10;
constexpr std::size_t kMaxHeaderBytes = 256 << 10;
constexpr std::chrono::milliseconds kLongestWait{8'000};        // of the doubling ones
constexpr std::chrono::milliseconds kLongestRetryAfter{300'000};  // a server that asks for more is given up
constexpr int kTotalTimeouts = 12;  // a collected body that trickles in is given up after so many timeouts

void global_init() {
  static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (done != CURLE_OK) throw Error(ErrorCode::internal, "libcurl", curl_easy_strerror(done), "please report it");
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == text.npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kBlank) - begin + 1));
}

/// Without its query, in which a CDN's URL carries a signature that is nobody's business.
std::string shown(const std::string& url) {
  return url.substr(0, url.find('?'));
}

ErrorCode code_of(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
    case CURLE_INTERFACE_FAILED: return ErrorCode::offline;
    case CURLE_OPERATION_TIMEDOUT: return ErrorCode::timed_out;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER: return ErrorCode::untrusted;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return ErrorCode::invalid_argument;
    case CURLE_OUT_OF_MEMORY: return ErrorCode::internal;
    default: return ErrorCode::unavailable;
  }
}

const char* mend_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::offline: return "check the network, the proxy (https_proxy) and HF_ENDPOINT";
    case ErrorCode::timed_out:
      return "try again, or allow more time: HF_HUB_ETAG_TIMEOUT, HF_HUB_DOWNLOAD_TIMEOUT (seconds)";
    case ErrorCode::untrusted: return "if your network puts its own certificate here, name it: SSL_CERT_FILE";
    case ErrorCode::invalid_argument: return "check HF_ENDPOINT";
    default: return "try again later";
  }
}

}  // namespace

const std::string& HttpResponse::header(const std::string& name) const {
  static const std::string none;
  auto it = headers.find(name);
  return it == headers.end() ? none : it->second;
}

bool HttpResponse::is_redirect() const {
  return (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) &&
         !header("location").empty();
}

bool is_unavailable(int status) {
  return status == 408 || status == 429 || status >= 500;
}

bool Retry::again(ErrorCode code, std::chrono::milliseconds retry_after) {
  bool may = code == ErrorCode::unavailable || code == ErrorCode::timed_out || code == ErrorCode::offline;
  if (code == ErrorCode::offline) left_ = std::min(left_, 1);  // who is not there seldom comes within seconds
  if (!may || left_ <= 0 || retry_after > kLongestRetryAfter) return false;
  --left_;
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any until;
  until.wait_for(lock, stop_, std::max(wait_, retry_after), [] { return false; });
  if (stop_.stop_requested()) throw Error(ErrorCode::cancelled, "the request", "was cancelled");
  wait_ = std::min(wait_ * 2, std::max(kLongestWait, first_wait_));
  return true;
}

void Retry::reset() {
  wait_ = first_wait_;
  left_ = retries_;
}

/// Easy handles at rest, each with the connections that it has open.
struct HttpClient::Handles {
  std::mutex mutex;
  std::vector<CURL*> resting;

  ~Handles() {
    for (CURL* handle : resting) curl_easy_cleanup(handle);
  }
  CURL* take() {
    {
      std::lock_guard lock(mutex);
      if (!resting.empty()) {
        CURL* handle = resting.back();
        resting.pop_back();
        curl_easy_reset(handle);  // options alone; connections stay
        return handle;
      }
    }
    CURL* handle = curl_easy_init();
    if (!handle) throw Error(ErrorCode::internal, "libcurl", "no handle", "please report it");
    return handle;
  }
  void give_back(CURL* handle) {
    std::lock_guard lock(mutex);
    resting.push_back(handle);
  }
};

/// What libcurl's callbacks see of one exchange. An exception of ours waits here until libcurl has returned.
struct HttpClient::Transfer {
  const HttpRequest& request;
  HttpResponse response;
  std::size_t header_bytes = 0;
  std::uint64_t body_bytes = 0;
  bool ended = false;  // accept said no
  bool body_begun = false;
  std::exception_ptr failure;
  Clock::time_point last_byte = Clock::now();
  bool stalled = false;

  static std::size_t on_header(char* bytes, std::size_t, std::size_t count, void* self) {
    return static_cast<Transfer*>(self)->guarded(count, [&](Transfer& t) { return t.header({bytes, count}); });
  }
  static std::size_t on_body(char* bytes, std::size_t, std::size_t count, void* self) {
    return static_cast<Transfer*>(self)->guarded(count, [&](Transfer& t) { return t.body({bytes, count}); });
  }
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto* transfer = static_cast<Transfer*>(self);
    transfer->stalled = Clock::now() - transfer->last_byte > transfer->request.timeout;
    return transfer->stalled || transfer->request.stop.stop_requested();
  }

  template <class F>
  std::size_t guarded(std::size_t count, F&& step) {
    try {
      bool wanted = step(*this);
      last_byte = Clock::now();  // behind the step: a slow disk is not the server's fault
      return wanted ? count : CURL_WRITEFUNC_ERROR;
    } catch (...) {
      failure = std::current_exception();
      return CURL_WRITEFUNC_ERROR;
    }
  }

  bool header(std::string_view line) {
    header_bytes += line.size();
    if (header_bytes > kMaxHeaderBytes)
      throw Error(ErrorCode::corrupt, "answer of " + shown(response.url), "has more than 256 KiB of headers");
    if (line.starts_with("HTTP/")) {
      response.headers.clear();
      std::size_t space = line.find(' ');
      response.status = space == line.npos ? 0 : std::atoi(std::string(line.substr(space + 1, 3)).c_str());
      return true;
    }
    if (std::size_t colon = line.find(':'); colon != line.npos) {
      std::string name(line.substr(0, colon));
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
      response.headers[name] = trimmed(line.substr(colon + 1));
      return true;
    }
    // The blank line behind the headers; those of 1xx answers are followed by others.
    bool last = trimmed(line).empty() && response.status >= 200;
    ended = last && request.accept && !request.accept(response);
    return !ended;
  }

  bool body(std::string_view bytes) {
    body_bytes += bytes.size();
    if (body_bytes > request.max_body)
      throw Error(ErrorCode::corrupt, "answer of " + shown(response.url),
                  "is longer than the " + std::to_string(request.max_body) + " bytes that it may have",
                  "try again; if it stays, the server or a proxy is broken");
    bool wanted = request.on_body && response.status >= 200 && response.status < 300;
    if (wanted) {
      body_begun = true;
      request.on_body(bytes);
    } else {
      response.body.append(bytes);
    }
    return true;
  }
};

HttpClient::HttpClient(const HubOptions& options)
    : options_(options), endpoint_origin_(origin_of(options.endpoint)), handles_(std::make_unique<Handles>()) {
  global_init();
}

HttpClient::~HttpClient() = default;

HttpResponse HttpClient::get(const HttpRequest& request) {
  Retry retry(options_, request.retries, request.stop);
  for (;;) {
    bool body_begun = false;
    try {
      HttpResponse response = get_following(request, body_begun);
      if (!is_unavailable(response.status) || !retry.again(ErrorCode::unavailable, response.retry_after))
        return response;
    } catch (const Error& e) {
      if (body_begun || !retry.again(e.code())) throw;
    }
  }
}

HttpResponse HttpClient::get_following(const HttpRequest& request, bool& body_begun) {
  std::string url = request.url;
  std::set<std::string> visited;
  HttpHeaders redirects;
  while (visited.size() < kMaxRedirects && visited.insert(url).second) {
    bool ended = false;
    HttpResponse response = exchange(request, url, body_begun, ended);
    response.redirects = redirects;
    if (ended || !response.is_redirect()) return response;
    for (const auto& [name, value] : response.headers) redirects[name] = value;
    url = redirected(url, response.header("location"));
  }
  throw Error(ErrorCode::unavailable, shown(request.url), "is redirected in circles, or more than 10 times",
              "check HF_ENDPOINT and the proxy");
}

HttpResponse HttpClient::exchange(const HttpRequest& request, const std::string& url, bool& body_begun,
                                  bool& ended) {
  Transfer transfer{.request = request, .response = {.url = url}, .failure = nullptr};
  std::unique_ptr<CURL, std::function<void(CURL*)>> handle(handles_->take(),
                                                           [this](CURL* h) { handles_->give_back(h); });
  CURL* curl = handle.get();
  curl_slist* list = nullptr;
  for (const std::string& header : request.headers) list = curl_slist_append(list, header.c_str());
  if (!options_.token.empty() && origin_of(url) == endpoint_origin_)
    list = curl_slist_append(list, ("Authorization: Bearer " + options_.token).c_str());
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(list, curl_slist_free_all);

  char message[CURL_ERROR_SIZE] = "";
  auto timeout = static_cast<long>(request.timeout.count());
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "graft/" GRAFT_VERSION);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 512L << 10);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, timeout);
  if (request.head) curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  if (!request.on_body) curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout * kTotalTimeouts);
  if (!options_.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, options_.ca_file.c_str());
  if (!options_.ca_folder.empty()) curl_easy_setopt(curl, CURLOPT_CAPATH, options_.ca_folder.c_str());
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, Transfer::on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, Transfer::on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, Transfer::on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);

  CURLcode code = curl_easy_perform(curl);
  curl_off_t retry_after = 0;
  curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after);
  transfer.response.retry_after = std::chrono::seconds(std::min<curl_off_t>(retry_after, 86'400));
  body_begun = body_begun || transfer.body_begun;
  ended = transfer.ended;
  if (transfer.failure) std::rethrow_exception(transfer.failure);
  if (request.stop.stop_requested()) throw Error(ErrorCode::cancelled, shown(url), "was cancelled");
  if (code == CURLE_OK || ended) return std::move(transfer.response);
  if (transfer.stalled)
    throw Error(ErrorCode::timed_out, shown(url),
                "no byte came for " + std::to_string((timeout + 999) / 1000) + " s", mend_of(ErrorCode::timed_out));
  throw Error(code_of(code), shown(url), *message ? message : curl_easy_strerror(code), mend_of(code_of(code)));
}

}  // namespace graft
