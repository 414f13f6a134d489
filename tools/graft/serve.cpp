// graft serve: parses its options here; the work is done by libgraft_serve.so, which links the HTTP library
// and is opened only now.
#include "command.h"
#include "graft/error.h"
#include "part.h"
#include "serve_options.h"

namespace graft {
namespace {

/// "OLD=NEW", each of them org/name.
std::pair<std::string, std::string> parse_renamed(const std::string& text) {
  std::size_t equals = text.find('=');
  if (equals == text.npos)
    throw Error(ErrorCode::invalid_argument, "--renamed \"" + text + "\"", "is not of the form OLD=NEW",
                "write it as in --renamed me/old=me/new");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

int serve(const ServeOptions& options) {
  return open_part<GraftCommandServe>("libgraft_serve.so", kGraftCommandServe, "graft serve",
                                      "build Graft with libcpp-httplib-dev installed")(&options);
}

/// An option that may come several times, one value each time.
CLI::Option* add_list(CLI::App* command, const char* name, std::vector<std::string>& list, const char* what) {
  return command->add_option(name, list, what)->allow_extra_args(false);
}

}  // namespace

void add_serve(CLI::App& app, CommandLine& line) {
  CLI::App* command = add_command(
      app, line, "serve", "Serve a hub's folder over HTTP, to Graft and to Python (for development)",
      "graft serve /srv/hub --port 8080        # then HF_ENDPOINT=http://127.0.0.1:8080");
  auto options = std::make_shared<ServeOptions>();
  auto renamed = std::make_shared<std::vector<std::string>>();
  ServerOptions& server = options->server;
  server.port = 8080;
  command->add_option("DIR", server.root, "the hub's folder: kernels/<org>/<name>, models/<org>/<name>")
      ->required();
  command->add_option("--host", server.host, "the address to listen at")->capture_default_str();
  command->add_option("--port", server.port, "0: any free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->add_option("--cdn-host", server.cdn_host,
                      "the name by which clients reach the large files' address");
  command->add_option("--token", server.token, "reads private and gated repos; another token is refused");
  command->add_option("--stranger-token", server.stranger_token, "is valid, but reads neither");
  add_list(command, "--private", server.private_repos, "a repo that is not there without the token");
  add_list(command, "--gated", server.gated_repos, "a repo whose files need the token");
  add_list(command, "--renamed", *renamed, "OLD=NEW: a repo's old name redirects to its new one");
  command->add_option("--page-size", server.page_size, "entries on one page of a listing")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  CLI::Option* certificate =
      command->add_option("--certificate", server.certificate, "a PEM file: serve HTTPS");
  CLI::Option* key = command->add_option("--key", server.key, "the certificate's key, a PEM file");
  certificate->needs(key);
  key->needs(certificate);
  add_list(
      command, "--fault", options->faults,
      "NAME[=VALUE][:TIMES], something to do wrong: latency=MS, status=CODE:K, retry-after=S, cut=BYTES, "
      "wrong-bytes, wrong-length, longer=BYTES, redirect-loop, no-ranges, stall=MS");
  command->add_flag("--log", options->log, "print each request, with status and bytes, to standard error");
  command->callback([&line, options, renamed] {
    line.action = [&line, options, renamed] {
      for (const std::string& text : *renamed) options->server.renamed.insert(parse_renamed(text));
      options->json = line.json;
      return serve(*options);
    };
  });
}

}  // namespace graft
