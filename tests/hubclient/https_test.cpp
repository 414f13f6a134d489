// Certificates.
#include <cstdlib>

#include "hub_fixture.h"

namespace graft::test {
namespace {

class HttpsTest : public HubTest {
 protected:
  HttpsTest() {
    make("server", "subjectAltName=DNS:localhost,IP:127.0.0.1");
    make("stranger", "subjectAltName=DNS:localhost,IP:127.0.0.1");
    make("elsewhere", "subjectAltName=DNS:hub.example");
  }
  void make(const std::string& name, const std::string& names) {
    std::string command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext " + names + " -out " +
                          file(name + ".pem") + " -keyout " + file(name + ".key") + " 2>/dev/null";
    EXPECT_EQ(std::system(command.c_str()), 0) << "openssl is needed";
  }
  std::string file(const std::string& name) const { return (folder_.path() / name).string(); }
  void serve_with(const std::string& name) { serve({.certificate = file(name + ".pem"), .key = file(name + ".key")}); }
  HubOptions trusting(const std::string& name) {
    HubOptions trusting = options();
    trusting.ca_file = file(name + ".pem");
    return trusting;
  }
};

TEST_F(HttpsTest, FetchesFromAServerThatIsTrusted) {
  serve_with("server");
  EXPECT_EQ(read_file(fetch(*open_hub(trusting("server")), kNorm, "main") / "build/v/norm.so"), kLibrary);
}

TEST_F(HttpsTest, RefusesACertificateThatNobodyVouchesFor) {
  serve_with("server");
  EXPECT_EQ(code_of([&] { open_hub(options())->refs(kNorm); }), ErrorCode::untrusted);
  EXPECT_EQ(code_of([&] { open_hub(trusting("stranger"))->refs(kNorm); }), ErrorCode::untrusted);
  EXPECT_EQ(server().counters().refs, 0u);
}

TEST_F(HttpsTest, RefusesACertificateOfAnotherHost) {
  serve_with("elsewhere");
  EXPECT_EQ(code_of([&] { open_hub(trusting("elsewhere"))->refs(kNorm); }), ErrorCode::untrusted);
}

TEST_F(HttpsTest, NamesTheVariableThatMendsIt) {
  serve_with("server");
  try {
    open_hub(options())->refs(kNorm);
    FAIL() << "nothing was thrown";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.mend()).find("SSL_CERT_FILE"), std::string::npos);
  }
}

}  // namespace
}  // namespace graft::test
