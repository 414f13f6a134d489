// Requests that try to leave the hub's folder, or to break the server.
#include <chrono>
#include <thread>

#include "serve_fixture.h"

namespace graft::test {
namespace {

class ServeHostileTest : public ServeTest {
 protected:
  ServeHostileTest() { write_file(folder_.path() / "secret", "secret"); }
};

TEST_F(ServeHostileTest, GivesNothingOutsideOfACommit) {
  for (std::string path :
       {"../../refs/heads/main", "..%2f..%2frefs/heads/main", "%2e%2e/%2e%2e/refs/heads/main",
        "build/../../x", "build%5c..%5cx", "build\\..\\x", "a%00b", "README.md%00", "/etc/passwd",
        "%2Fetc%2Fpasswd", "./README.md", "build//v/norm.so", "README.md/", "a/..", "%2e", "..;/x"}) {
    for (std::string before :
         {"/kernels/org/norm/resolve/main/", "/org/norm/resolve/main/", "/api/kernels/org/norm/tree/main/"}) {
      std::string answer = raw_get(before + path);
      EXPECT_TRUE(answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.1 404"))
          << before + path << "\n"
          << answer;
    }
  }
}

TEST_F(ServeHostileTest, GivesNothingOutsideOfItsRepos) {
  for (std::string target :
       {"/../secret", "/secret", "/kernels/../secret/resolve/main/x", "/kernels/%2e%2e/norm/resolve/main/x",
        "/kernels/org%2F../norm/resolve/main/x", "/kernels/org/..%2F..%2F/resolve/main/x",
        "/api/kernels/../..", "/api/kernels/org/%2e%2e/tree/main", "/api/kernels//norm",
        "/api/kernels/org/norm/tree//x", "/api/kernels/org/no%00rm",
        "/kernels/org/norm/resolve/..%2F..%2Fx/README.md", "/kernels/org/norm/resolve/../main/x", "//", "/%",
        "/%zz", "/api/kernels/org/norm?a=%f", "x", "http://x/api/kernels/org/norm"}) {
    std::string answer = raw_get(target);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 40")) << target << "\n" << answer;
    EXPECT_EQ(answer.find("secret\n"), answer.npos);
  }
}

TEST_F(ServeHostileTest, FollowsNoLinkOutOfACommit) {
  auto commit = folder_.path() / "kernels/org/norm/commits" / kMain;
  std::filesystem::create_symlink(folder_.path() / "secret", commit / "link");
  std::filesystem::create_directory_symlink(folder_.path(), commit / "folder");
  for (std::string path : {"link", "folder/secret"}) {
    Answer answer = get("/kernels/org/norm/resolve/main/" + path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_NE(answer.body, "secret");
  }
  EXPECT_EQ(get("/api/kernels/org/norm/tree/main").status, 404);
}

TEST_F(ServeHostileTest, ChangesNothing) {
  for (std::string method : {"POST", "PUT", "DELETE", "PATCH"}) {
    std::string answer = raw(
        method +
        " /api/kernels/org/norm HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 405")) << method << "\n" << answer;
  }
}

TEST_F(ServeHostileTest, PutsNoHeaderOfTheClientsIntoItsReply) {
  std::string link =
      raw("GET /api/kernels/org/norm/tree/main?limit=1&x=%0d%0aEvil:1 HTTP/1.1\r\nHost: a b<>\r\nConnection: "
          "close\r\n\r\n");
  EXPECT_NE(link.find("Link: <" + server().endpoint()), link.npos) << link;
  EXPECT_EQ(link.find("\nEvil"), link.npos);
  std::string error = raw_get("/kernels/org/norm/resolve/a%0d%0aEvil:1/b");
  EXPECT_EQ(error.find("\nEvil"), error.npos) << error;
}

TEST_F(ServeHostileTest, OutlivesNonsense) {
  raw("");
  raw("\r\n\r\n");
  raw(std::string(100'000, 'x'));
  raw("GET / HTTP/9.9\r\n\r\n");
  raw("GET " + std::string(50'000, '/') + " HTTP/1.1\r\n\r\n");
  raw("GET /api/kernels/org/norm HTTP/1.1\r\nRange: bytes=99999999999999999999999-\r\nConnection: "
      "close\r\n\r\n");
  raw("GET /api/kernels/org/norm/tree/" + std::string(7000, 'a') + " HTTP/1.1\r\nConnection: close\r\n\r\n");
  raw("GET /kernels/org/norm/resolve/main/" + std::string(7000, 'a') +
      " HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(get("/api/kernels/org/norm").status, 200);
}

TEST_F(ServeHostileTest, StopsAtOnceWhateverIsOpen) {
  using Clock = std::chrono::steady_clock;
  httplib::Client idle(server().endpoint());
  idle.set_keep_alive(true);
  ASSERT_EQ(idle.Get("/api/kernels/org/norm")->status, 200);
  Faults faults;
  faults.stall = Fault{60'000};
  server().set_faults(faults);
  std::thread waiting([&] { EXPECT_FALSE(get("/kernels/org/norm/resolve/main/README.md").complete); });
  while (server().counters().resolve == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  auto begin = Clock::now();
  server().stop();
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(2));
  waiting.join();
  EXPECT_FALSE(get("/api/kernels/org/norm").complete);
}

}  // namespace
}  // namespace graft::test
