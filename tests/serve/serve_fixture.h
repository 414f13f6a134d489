// A hub's folder with one kernel repo and one model repo of the same files, and a client to ask a server of
// it.
#pragma once

#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "fixtures.h"
#include "graft/error.h"
#include "graft/hash.h"
#include "hub_server.h"

namespace graft::test {

/// What came back; `complete` is false if the connection ended before the reply did.
struct Answer {
  bool complete = false;
  int status = 0;
  httplib::Headers headers;
  std::string body;

  std::string header(const std::string& name) const {
    auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
  nlohmann::json json() const { return nlohmann::json::parse(body); }
};

inline Answer request(const std::string& origin, const std::string& target,
                      const httplib::Headers& headers = {}, const std::string& method = "GET") {
  httplib::Client client(origin);
  client.set_keep_alive(false);
  client.set_read_timeout(10);
  std::string body;
  Answer answer;
  httplib::Request request;
  request.method = method;
  request.path = target;
  request.headers = headers;
  request.response_handler = [&](const httplib::Response& response) {
    answer.status = response.status;
    answer.headers = response.headers;
    return true;
  };
  request.content_receiver = [&](const char* bytes, std::size_t count, std::uint64_t, std::uint64_t) {
    body.append(bytes, count);
    return true;
  };
  auto result = client.send(request);
  answer.complete = static_cast<bool>(result);
  if (result) {
    answer.status = result->status;
    answer.headers = result->headers;
  }
  answer.body = std::move(body);
  return answer;
}

/// "http://127.0.0.1:80/path" → its path, at whatever origin.
inline std::string target_of(const std::string& address) {
  return address.substr(address.find('/', address.find("://") + 3));
}

class ServeTest : public testing::Test {
 protected:
  inline static const std::string kMain = std::string(40, 'a'), kSide = std::string(40, 'b');
  inline static const std::string kText = "norm, a kernel\n", kLibrary = "0123456789";

  ServeTest() {
    for (const char* kind : {"kernels", "models"}) {
      std::filesystem::path repo = folder_.path() / kind / "org/norm";
      write_file(repo / "refs/heads/main", kMain);
      write_file(repo / "refs/heads/feature/x", kSide);
      write_file(repo / "refs/tags/v1.0.0", kMain);
      write_file(repo / "commits" / kMain / "README.md", kText);
      write_file(repo / "commits" / kMain / "empty", "");
      write_file(repo / "commits" / kMain / "build/v/norm.so", kLibrary);
      write_file(repo / "commits" / kMain / "build/v/sub/a b.txt", "12");
      write_file(repo / "commits" / kSide / "x.txt", "side");
    }
  }

  /// Starts the server; without it, the first request does.
  HubServer& serve(ServerOptions options = {}) {
    options.root = folder_.path();
    return server_.emplace(std::move(options));
  }
  HubServer& server() { return server_ ? *server_ : serve(); }

  Answer get(const std::string& target, const httplib::Headers& headers = {}) {
    return request(server().endpoint(), target, headers);
  }
  Answer head(const std::string& target, const httplib::Headers& headers = {}) {
    return request(server().endpoint(), target, headers, "HEAD");
  }
  /// A file in LFS: what the CDN says where the Hub leads to.
  Answer get_from_cdn(const std::string& target, const httplib::Headers& headers = {}) {
    return request(server().cdn(), target_of(get(target).header("Location")), headers);
  }

  /// Bytes as they are, over a socket; what comes back until the server closes.
  std::string raw(const std::string& bytes) {
    int port = std::stoi(server().endpoint().substr(server().endpoint().rfind(':') + 1));
    int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    // The library takes a client that ends its side for one that is gone; who asks for the end waits for it.
    if (bytes.find("Connection: close") == bytes.npos) shutdown(socket, SHUT_WR);
    std::string answer;
    char buffer[4096];
    for (ssize_t count; (count = recv(socket, buffer, sizeof buffer, 0)) > 0;)
      answer.append(buffer, static_cast<std::size_t>(count));
    close(socket);
    return answer;
  }
  std::string raw_get(const std::string& target) {
    return raw("GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  }

  TempFolder folder_;
  std::optional<HubServer> server_;
};

}  // namespace graft::test
