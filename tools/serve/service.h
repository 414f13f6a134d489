// Service: requests to the Hub and to its CDN → replies. It does not listen itself (see http_listener.h).
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <optional>

#include "file_body.h"
#include "file_hashes.h"
#include "hub_server.h"
#include "repos.h"
#include "route.h"

namespace graft::server {

struct ServedReply;
struct ServedRequest;

/// Any thread, at once. Nothing is thrown at a request.
class Service {
 public:
  /// Throws Error: see HubServer.
  explicit Service(ServerOptions options);

  /// Before the first request: how clients reach the two addresses.
  void set_origins(std::string endpoint, std::string cdn);

  ServedReply answer_hub(const ServedRequest& request);
  ServedReply answer_cdn(const ServedRequest& request);

  FaultSwitch& faults() { return faults_; }
  ServerCounters counters() const;
  void reset_counters();
  RecordedRequest last_request() const;

  /// Ends what waits on purpose.
  void stop() { pauses_.stop(); }

 private:
  enum class Access { anonymous, owner, stranger, invalid };

  template <class Answer>
  ServedReply guarded(Answer&& answer);
  void record(const ServedRequest& request);
  std::optional<ServedReply> general_fault();
  Access access(const ServedRequest& request) const;
  ServedReply answer(const ServedRequest& request, const Route& route);

  ServedReply refs(const RepoId& repo);
  ServedReply info(const Route& route);
  ServedReply tree(const ServedRequest& request, const Route& route);

  ServedReply resolve(const ServedRequest& request, const Route& route);
  ServedReply content(const ServedRequest& request, const std::filesystem::path& file,
                      const std::string& hash, ServedReply reply);
  BodyPlan with_faults(BodyPlan plan);
  std::string signature(const std::string& path) const;

  /// "http://HOST:PORT" as this client names the Hub; the CDN's, named in the same way.
  std::string hub_origin(const ServedRequest& request) const;
  std::string cdn_origin(const ServedRequest& request) const;

  ServerOptions options_;
  std::string endpoint_, cdn_, secret_;
  Repos repos_;
  FileHashes hashes_;
  FaultSwitch faults_;
  Pauses pauses_;

  struct Counts {
    std::array<std::atomic<std::uint64_t>, 5> by_endpoint{};  // in the order of Endpoint
    std::atomic<std::uint64_t> cdn{0}, connections{0}, authorizations_at_cdn{0}, file_bytes{0};
  };
  Counts counts_;
  mutable std::mutex last_mutex_;
  RecordedRequest last_;
};

}  // namespace graft::server
