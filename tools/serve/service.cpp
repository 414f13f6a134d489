// A request's way, up to what it asks for: counted, hit by a fault, its token looked at, its repo found.
#include "service.h"

#include <algorithm>
#include <random>

#include "graft/error.h"
#include "graft/hash.h"
#include "http.h"
#include "refusal.h"

namespace graft::server {
namespace {

std::string random_secret() {
  std::random_device device;
  std::string secret;
  for (int i = 0; i < 4; ++i) secret += std::to_string(device()) + ".";
  return secret;
}

bool contains(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

/// The Host header, if it is one that may stand in an address.
std::string host_of(const ServedRequest& request) {
  std::string host = request.header("host");
  bool good =
      !host.empty() && host.size() < 256 && std::all_of(host.begin(), host.end(), [](unsigned char c) {
        return std::isalnum(c) || c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
      });
  return good ? host : "";
}

std::string scheme_of(const std::string& origin) {
  return origin.substr(0, origin.find("://") + 3);
}

ServedReply reply_for(const Error& error) {
  switch (error.code()) {
    case ErrorCode::invalid_argument:
      return error_reply(400, "", error.what());
    case ErrorCode::io:
    case ErrorCode::internal:
      return error_reply(500, "", error.what());
    default:
      return error_reply(404, "EntryNotFound", error.what());  // also a link that leads out of its repo
  }
}

}  // namespace

Service::Service(ServerOptions options)
    : options_(std::move(options)), secret_(random_secret()), repos_(options_.root) {
  if (options_.token.empty() && !(options_.private_repos.empty() && options_.gated_repos.empty()))
    throw Error(ErrorCode::invalid_argument, "hub server",
                "a private or gated repo needs a token to be read with", "set one: --token hf_mine");
  if (options_.page_size == 0)
    throw Error(ErrorCode::invalid_argument, "hub server", "a page of a listing cannot have 0 entries",
                "leave --page-size out");
  for (const std::vector<std::string>* names : {&options_.private_repos, &options_.gated_repos})
    for (const std::string& name : *names) check_repo_name(name);
  for (const auto& [from, to] : options_.renamed) {
    check_repo_name(from);
    check_repo_name(to);
  }
  faults_.set(options_.faults);
}

void Service::set_origins(std::string endpoint, std::string cdn) {
  endpoint_ = std::move(endpoint);
  cdn_ = std::move(cdn);
}

/// Whatever happens, there is a reply.
template <class Answer>
ServedReply Service::guarded(Answer&& answer) {
  try {
    return answer();
  } catch (const Refusal& refusal) {
    return refusal.reply;
  } catch (const Error& e) {
    return reply_for(e);
  } catch (const std::exception& e) {
    return error_reply(500, "", e.what());
  }
}

ServedReply Service::answer_hub(const ServedRequest& request) {
  record(request);
  return guarded([&]() -> ServedReply {
    Route route;
    try {
      route = parse_route(request.target);
    } catch (const Error&) {
      ++counts_.by_endpoint[static_cast<std::size_t>(Endpoint::none)];
      throw;
    }
    ++counts_.by_endpoint[static_cast<std::size_t>(route.endpoint)];
    if (auto reply = general_fault()) return *reply;
    if (request.method != "GET" && request.method != "HEAD")
      return error_reply(405, "", "This server's repos are read only.");
    return answer(request, route);
  });
}

ServedReply Service::answer(const ServedRequest& request, const Route& route) {
  if (route.endpoint == Endpoint::none)
    return error_reply(404, "", "Sorry, we can't find the page you are looking for.");
  Access access = this->access(request);
  if (access == Access::invalid) return error_reply(401, "", "Invalid credentials in Authorization header");
  const RepoId& repo = route.repo;
  if (auto to = options_.renamed.find(repo.name); to != options_.renamed.end()) {
    std::string query = route.raw_query.empty() ? "" : "?" + route.raw_query;
    return {.status = 307, .headers = {{"Location", route.path_for(to->second) + query}}};
  }
  bool hidden = contains(options_.private_repos, repo.name) && access != Access::owner;
  if (hidden || !repos_.has(repo)) throw repo_not_found(repo, access != Access::anonymous);
  switch (route.endpoint) {
    case Endpoint::refs:
      return refs(repo);
    case Endpoint::info:
      return info(route);
    case Endpoint::tree:
      return tree(request, route);
    default:
      break;
  }
  if (contains(options_.gated_repos, repo.name) && access != Access::owner)
    throw gated(repo, access != Access::anonymous);
  return resolve(request, route);
}

Service::Access Service::access(const ServedRequest& request) const {
  constexpr std::string_view kBearer = "Bearer ";
  std::string header = request.header("authorization");
  if (header.empty()) return Access::anonymous;
  std::string token = header.starts_with(kBearer) ? header.substr(kBearer.size()) : "";
  if (!options_.stranger_token.empty() && token == options_.stranger_token) return Access::stranger;
  return options_.token.empty() || token == options_.token ? Access::owner : Access::invalid;
}

std::optional<ServedReply> Service::general_fault() {
  if (auto ms = faults_.take(&Faults::latency)) pauses_.wait(std::chrono::milliseconds(*ms));
  auto status = faults_.take(&Faults::status);
  if (!status) return std::nullopt;
  ServedReply reply = error_reply(static_cast<int>(*status), "", "A fault that this server was asked for.");
  if (auto seconds = faults_.take(&Faults::retry_after))
    reply.headers.emplace_back("Retry-After", std::to_string(*seconds));
  return reply;
}

void Service::record(const ServedRequest& request) {
  if (request.new_connection) ++counts_.connections;
  std::lock_guard lock(last_mutex_);
  last_ = {request.method, request.target, request.headers};
}

RecordedRequest Service::last_request() const {
  std::lock_guard lock(last_mutex_);
  return last_;
}

ServerCounters Service::counters() const {
  auto by = [&](Endpoint endpoint) { return counts_.by_endpoint[static_cast<std::size_t>(endpoint)].load(); };
  return {.refs = by(Endpoint::refs),
          .info = by(Endpoint::info),
          .tree = by(Endpoint::tree),
          .resolve = by(Endpoint::resolve),
          .cdn = counts_.cdn,
          .other = by(Endpoint::none),
          .connections = counts_.connections,
          .authorizations_at_cdn = counts_.authorizations_at_cdn,
          .file_bytes = counts_.file_bytes};
}

void Service::reset_counters() {
  for (auto& count : counts_.by_endpoint) count = 0;
  for (auto* count :
       {&counts_.cdn, &counts_.connections, &counts_.authorizations_at_cdn, &counts_.file_bytes})
    *count = 0;
}

std::string Service::hub_origin(const ServedRequest& request) const {
  std::string host = host_of(request);
  return host.empty() ? endpoint_ : scheme_of(endpoint_) + host;
}

std::string Service::cdn_origin(const ServedRequest& request) const {
  std::string host = host_of(request);
  // Listening everywhere, only the client knows a name that leads here.
  bool everywhere = options_.host == "0.0.0.0" || options_.host == "::";
  if (!everywhere || !options_.cdn_host.empty() || host.empty()) return cdn_;
  std::size_t port = host.rfind(':');
  if (port != host.npos && host.find(']', port) == host.npos) host.resize(port);
  return scheme_of(cdn_) + host + cdn_.substr(cdn_.rfind(':'));
}

ServedReply Service::answer_cdn(const ServedRequest& request) {
  record(request);
  ++counts_.cdn;
  if (!request.header("authorization").empty()) ++counts_.authorizations_at_cdn;
  return guarded([&]() -> ServedReply {
    if (auto reply = general_fault()) return *reply;
    if (request.method != "GET" && request.method != "HEAD") return error_reply(405, "", "Read only.");
    if (!request.header("authorization").empty())
      return error_reply(400, "", "Only one auth mechanism allowed: the address carries its signature.");
    // "/kernels/org/name/<commit>/<path>?signature=…"
    std::size_t question = std::min(request.target.find('?'), request.target.size());
    std::string path = request.target.substr(0, question);
    if (request.target.substr(question) != "?signature=" + signature(path))
      return error_reply(403, "", "This address is not signed by this server.");
    auto plain = percent_decode(path);
    RepoKind kind = path.starts_with("/kernels/") ? RepoKind::kernel : RepoKind::model;
    std::size_t org = path.find('/', 1), name = path.find('/', org + 1), commit = path.find('/', name + 1),
                file = path.find('/', commit + 1);
    // Up to the file's path nothing is encoded, so positions are the same in both.
    std::filesystem::path found =
        repos_.file({kind, plain->substr(org + 1, commit - org - 1)},
                    plain->substr(commit + 1, file - commit - 1), plain->substr(file + 1));
    return content(request, found, hashes_.sha256(found), {});
  });
}

}  // namespace graft::server
