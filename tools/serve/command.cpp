// graft serve, once its options are known: serves until a signal ends it.
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "graft/error.h"
#include "serve_options.h"

namespace graft {
namespace {

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

void print_ready(const HubServer& server, const ServeOptions& options) {
  if (options.json) {
    nlohmann::ordered_json line = {{"endpoint", server.endpoint()}, {"cdn", server.cdn()}};
    std::printf("%s\n", line.dump().c_str());
  } else {
    std::printf("serving %s at %s, large files from %s (Ctrl-C ends it)\n", options.server.root.c_str(),
                server.endpoint().c_str(), server.cdn().c_str());
  }
  std::fflush(stdout);  // a script waits for this line
}

int serve(ServeOptions options) {
  options.server.faults = parse_faults(options.faults);
  // A client that takes a port for a part of the origin would do without; Python's huggingface_hub keeps the
  // token for every port of a host, and the CDN refuses it.
  if (options.server.cdn_host.empty() && options.server.host == "127.0.0.1")
    options.server.cdn_host = "localhost";
  if (options.log)
    options.server.log = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  if (!is_loopback(options.server.host))
    std::fprintf(stderr, "graft: warning: %s is open to other machines; this is a development server\n",
                 options.server.host.c_str());

  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);  // before the server's threads, which inherit it
  HubServer server(options.server);
  print_ready(server, options);
  int signal = 0;
  sigwait(&ending, &signal);
  server.stop();
  return 0;
}

}  // namespace
}  // namespace graft

extern "C" int graft_command_serve(const graft::ServeOptions* options) {
  return graft::serve(*options);
}
