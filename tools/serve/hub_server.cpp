#include "hub_server.h"

#include <mutex>

#include "graft/error.h"
#include "http_listener.h"
#include "service.h"

namespace graft {
namespace {

std::string origin(const ServerOptions& options, const std::string& host, int port) {
  bool is_v6 = host.find(':') != host.npos;
  return (options.certificate.empty() ? "http://" : "https://") + (is_v6 ? "[" + host + "]" : host) + ":" +
         std::to_string(port);
}

/// The CDN's port is the Hub's next one if that is free.
std::unique_ptr<server::HttpListener> listen_for_cdn(server::ListenerOptions options,
                                                     const server::HttpHandler& handler) {
  constexpr int kMaxPort = 65535;
  if (options.port > 0 && options.port < kMaxPort) {
    try {
      ++options.port;
      return std::make_unique<server::HttpListener>(options, handler);
    } catch (const Error&) {
    }
  }
  options.port = 0;
  return std::make_unique<server::HttpListener>(options, handler);
}

}  // namespace

struct HubServer::State {
  explicit State(ServerOptions options) : service(std::move(options)) {}

  server::Service service;
  std::string endpoint, cdn_origin;
  std::once_flag stopped;
  std::unique_ptr<server::HttpListener> cdn, hub;  // gone before the service that they ask
};

HubServer::HubServer(ServerOptions options) : state_(std::make_unique<State>(options)) {
  server::ListenerOptions listener{options.host, options.port, options.certificate, options.key, options.log};
  server::Service& service = state_->service;
  state_->hub = std::make_unique<server::HttpListener>(
      listener, [&service](const server::ServedRequest& request) { return service.answer_hub(request); });
  state_->cdn = listen_for_cdn(
      listener, [&service](const server::ServedRequest& request) { return service.answer_cdn(request); });
  state_->endpoint = origin(options, options.host, state_->hub->port());
  state_->cdn_origin =
      origin(options, options.cdn_host.empty() ? options.host : options.cdn_host, state_->cdn->port());
  service.set_origins(state_->endpoint, state_->cdn_origin);
  state_->cdn->start();
  state_->hub->start();
}

HubServer::~HubServer() {
  stop();
}

const std::string& HubServer::endpoint() const {
  return state_->endpoint;
}

const std::string& HubServer::cdn() const {
  return state_->cdn_origin;
}

void HubServer::set_faults(Faults faults) {
  state_->service.faults().set(std::move(faults));
}

ServerCounters HubServer::counters() const {
  return state_->service.counters();
}

void HubServer::reset_counters() {
  state_->service.reset_counters();
}

RecordedRequest HubServer::last_request() const {
  return state_->service.last_request();
}

void HubServer::stop() {
  std::call_once(state_->stopped, [&] {
    state_->service.stop();
    state_->hub->stop();
    state_->cdn->stop();
  });
}

}  // namespace graft
