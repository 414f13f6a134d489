// The proxy that the environment names is asked instead of the Hub.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "hub_fixture.h"

namespace graft::test {
namespace {

/// Answers one request with empty refs and keeps what it was asked.
class OneAnswerProxy {
 public:
  OneAnswerProxy() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(socket_, 1), 0);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    address_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { answer(); });
  }
  ~OneAnswerProxy() {
    shutdown(socket_, SHUT_RDWR);
    thread_.join();
    close(socket_);
  }
  const std::string& address() const { return address_; }
  const std::string& asked() const { return asked_; }  // once the answer is there

 private:
  void answer() {
    int client = accept(socket_, nullptr, nullptr);
    if (client < 0) return;
    char buffer[8192];
    while (asked_.find("\r\n\r\n") == asked_.npos) {
      ssize_t got = recv(client, buffer, sizeof buffer, 0);
      if (got <= 0) break;
      asked_.append(buffer, static_cast<std::size_t>(got));
    }
    const std::string body = R"({"tags":[],"branches":[]})";
    const std::string reply = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
                              "\r\n\r\n" + body;
    send(client, reply.data(), reply.size(), MSG_NOSIGNAL);
    close(client);
  }

  int socket_;
  std::string address_, asked_;
  std::thread thread_;
};

HubOptions far_away(const TempFolder& folder) {
  HubOptions options;
  options.endpoint = "http://hub.invalid";
  options.cache_dir = options.kernels_cache_dir = folder.path();
  options.retries = 0;
  return options;
}

const RepoId kRepo{RepoKind::kernel, "org/norm"};

TEST(Proxy, IsAskedForTheHub) {
  OneAnswerProxy proxy;
  TempFolder cache;
  ScopedEnv set("http_proxy", proxy.address().c_str()), none("no_proxy", nullptr);
  EXPECT_TRUE(open_hub(far_away(cache))->refs(kRepo).tags.empty());
  EXPECT_TRUE(proxy.asked().starts_with("GET http://hub.invalid/api/kernels/org/norm/refs ")) << proxy.asked();
}

TEST(Proxy, IsNotAskedForHostsThatNoProxyNames) {
  OneAnswerProxy proxy;
  TempFolder cache;
  ScopedEnv set("http_proxy", proxy.address().c_str()), none("no_proxy", "hub.invalid");
  EXPECT_EQ(code_of([&] { open_hub(far_away(cache))->refs(kRepo); }), ErrorCode::offline);
  EXPECT_EQ(proxy.asked(), "");
}

}  // namespace
}  // namespace graft::test
