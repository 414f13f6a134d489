#include "http_listener.h"

#include <dirent.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <thread>

#include "graft/error.h"
#include "refusal.h"

namespace graft::server {
namespace {

constexpr std::size_t kThreads = 128;  // each connection that is kept open holds one
constexpr std::size_t kMaxBody = 1 << 20;
constexpr int kKeepAliveSeconds = 10;

ServedRequest from_library(const httplib::Request& request) {
  ServedRequest ours{.method = request.method, .target = request.target};
  for (const auto& [name, value] : request.headers) {
    std::string lower = name;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    // These four are the library's own, not the client's.
    bool added =
        lower == "remote_addr" || lower == "remote_port" || lower == "local_addr" || lower == "local_port";
    if (!added) ours.headers.emplace(std::move(lower), value);
  }
  // One thread serves a connection from its begin to its end.
  thread_local std::string last_peer;
  std::string peer = request.remote_addr + " " + std::to_string(request.remote_port);
  ours.new_connection = peer != last_peer;
  last_peer = std::move(peer);
  return ours;
}

void to_library(ServedReply ours, httplib::Response& response) {
  response.status = ours.status;
  for (const auto& [name, value] : ours.headers) response.set_header(name, value);
  bool has_bytes = ours.file && ours.file->length() > 0;  // the library gives no length to an empty provider
  if (has_bytes)
    response.set_content_provider(
        static_cast<std::size_t>(ours.file->length()), "application/octet-stream",
        [file = ours.file](std::size_t position, std::size_t, httplib::DataSink& sink) {
          return file->write_piece(position, sink.write);
        });
  else if (!ours.body.empty())
    response.set_content(ours.body, "application/json; charset=utf-8");
}

std::string log_line(const httplib::Request& request, const httplib::Response& response) {
  std::string length = response.get_header_value("Content-Length");
  std::string line = request.method + " " + request.target + " " + std::to_string(response.status) + " " +
                     (length.empty() ? std::to_string(response.body.size()) : length) + " bytes";
  for (char& c : line)
    if (static_cast<unsigned char>(c) < ' ' || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  return line;
}

/// Shuts down the connections that were accepted at `port`. The library keeps their sockets to itself, and a
/// client that stays connected would hold its thread until the keep-alive time is over.
void shut_connections(int port) {
  DIR* descriptors = opendir("/proc/self/fd");
  if (!descriptors) return;
  while (dirent* entry = readdir(descriptors)) {
    int descriptor = -1;
    std::from_chars(entry->d_name, entry->d_name + std::strlen(entry->d_name), descriptor);
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (descriptor < 0 || getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      continue;
    int here = address.ss_family == AF_INET    ? ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port)
               : address.ss_family == AF_INET6 ? ntohs(reinterpret_cast<sockaddr_in6&>(address).sin6_port)
                                               : -1;
    if (here == port) shutdown(descriptor, SHUT_RDWR);
  }
  closedir(descriptors);
}

std::unique_ptr<httplib::Server> make_server(const ListenerOptions& options) {
  if (options.certificate.empty() && options.key.empty()) return std::make_unique<httplib::Server>();
  for (const std::filesystem::path& file : {options.certificate, options.key})
    if (!std::filesystem::is_regular_file(file))
      throw Error(ErrorCode::not_found, "file \"" + file.string() + "\"", "there is no such file",
                  "HTTPS needs both: --certificate cert.pem --key key.pem");
  auto server = std::make_unique<httplib::SSLServer>(options.certificate.c_str(), options.key.c_str());
  if (!server->is_valid())
    throw Error(ErrorCode::invalid_argument,
                "certificate " + options.certificate.string() + " with key " + options.key.string(),
                "OpenSSL does not take them", "both are PEM files, and the key is the certificate's");
  return server;
}

}  // namespace

struct HttpListener::State {
  std::unique_ptr<httplib::Server> server;
  int port = 0;
  std::atomic<bool> done{false};
  std::thread thread;
};

HttpListener::HttpListener(const ListenerOptions& options, HttpHandler handler)
    : state_(std::make_unique<State>()) {
  state_->server = make_server(options);
  httplib::Server& server = *state_->server;
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_keep_alive_max_count(1'000'000'000);
  server.set_keep_alive_timeout(kKeepAliveSeconds);
  server.set_payload_max_length(kMaxBody);
  server.set_tcp_nodelay(true);
  // Without SO_REUSEPORT, which the library sets: a port that another server has is taken.
  server.set_socket_options([](int socket) {
    int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  server.set_pre_routing_handler([handler](const httplib::Request& request, httplib::Response& response) {
    // A range is cut out by Service; the library would do it a second time. The request is the library's own
    // variable, and no constant.
    const_cast<httplib::Request&>(request).ranges.clear();
    // A body is read, and with that refused, by the library.
    if (request.method != "GET" && request.method != "HEAD")
      return httplib::Server::HandlerResponse::Unhandled;
    to_library(handler(from_library(request)), response);
    return httplib::Server::HandlerResponse::Handled;
  });
  server.set_error_handler(httplib::Server::HandlerWithResponse(
      [handler](const httplib::Request& request, httplib::Response& response) {
        bool is_read = request.method == "GET" || request.method == "HEAD";
        if (is_read || request.target.empty()) return httplib::Server::HandlerResponse::Unhandled;
        to_library(handler(from_library(request)), response);
        return httplib::Server::HandlerResponse::Handled;
      }));
  if (options.log)
    server.set_logger(
        [log = options.log](const httplib::Request& request, const httplib::Response& response) {
          log(log_line(request, response));
        });
  errno = 0;
  if (options.port == 0)
    state_->port = server.bind_to_any_port(options.host);
  else
    state_->port = server.bind_to_port(options.host, options.port) ? options.port : -1;
  if (state_->port <= 0)
    throw Error(ErrorCode::io, "address " + options.host + ":" + std::to_string(options.port),
                errno ? std::strerror(errno) : "cannot be listened at",
                "choose another --port (0: any free one) or --host");
}

void HttpListener::start() {
  state_->thread = std::thread([state = state_.get()] {
    state->server->listen_after_bind();
    state->done = true;
  });
  // stop() does nothing to a server that does not run yet.
  while (!state_->server->is_running() && !state_->done)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

HttpListener::~HttpListener() {
  stop();
}

int HttpListener::port() const {
  return state_->port;
}

void HttpListener::stop() {
  if (!state_->thread.joinable()) return;
  state_->server->stop();
  while (!state_->done) {  // again and again: a connection may be about to be served
    shut_connections(state_->port);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  state_->thread.join();
}

}  // namespace graft::server
