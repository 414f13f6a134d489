// HubServer: a Hub's folder served over HTTP as the Hugging Face Hub serves its repos, for development,
// air-gapped networks and tests. It is no server for the open internet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "faults.h"

namespace graft {

struct ServerOptions {
  std::filesystem::path root = {};  // as of open_hub("file:///root")
  std::string host = "127.0.0.1";
  int port = 0;               // 0: any free one
  std::string cdn_host = {};  // the name by which clients reach the second address; "": host

  std::string token = {};                       // reads everything; "": any token does
  std::string stranger_token = {};              // valid, too, but with no right to private and gated repos
  std::vector<std::string> private_repos = {};  // "org/name", of either kind
  std::vector<std::string> gated_repos = {};    // their files need the token; refs and listings do not
  std::map<std::string, std::string> renamed = {};  // an old name → "org/name" that it redirects to

  std::size_t page_size = 1000;            // entries on one page of a tree's listing
  std::filesystem::path certificate = {};  // PEM; with `key`: HTTPS at both addresses
  std::filesystem::path key = {};
  Faults faults = {};
  std::function<void(const std::string&)> log = {};  // gets a line for each request, on any thread
};

/// Since the start or reset_counters(). Requests count when they come in, also those that a fault hits.
struct ServerCounters {
  std::uint64_t refs = 0, info = 0, tree = 0, resolve = 0, cdn = 0, other = 0;
  std::uint64_t connections = 0;  // at both addresses, counted with their first request
  std::uint64_t authorizations_at_cdn =
      0;                         // requests at the CDN with an Authorization header: a leaked token
  std::uint64_t file_bytes = 0;  // sent in bodies of files
};

/// A request as it came.
struct RecordedRequest {
  std::string method, target;
  std::map<std::string, std::string> headers;  // names in lower case
};

/// Listens from construction to stop(), in threads of its own. Every function may be called from any thread.
class HubServer {
 public:
  /// Throws Error: not_found for a missing folder or certificate, io for an address that is taken,
  /// invalid_argument for options that contradict each other.
  explicit HubServer(ServerOptions options);
  ~HubServer();
  HubServer(const HubServer&) = delete;
  HubServer& operator=(const HubServer&) = delete;

  /// "http://127.0.0.1:8080": what HF_ENDPOINT is set to.
  const std::string& endpoint() const;

  /// "http://127.0.0.1:8081": another origin, where large files come from.
  const std::string& cdn() const;

  void set_faults(Faults faults);
  ServerCounters counters() const;
  void reset_counters();

  /// The latest one; empty before the first.
  RecordedRequest last_request() const;

  /// Ends every connection. Returns once no thread of the server is left.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace graft
