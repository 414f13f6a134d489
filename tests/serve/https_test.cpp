// The server with a certificate of its own making.
#include <sys/stat.h>

#include <cstdlib>

#include "serve_fixture.h"

namespace graft::test {
namespace {

class ServeHttpsTest : public ServeTest {
 protected:
  ServeHttpsTest() {
    make("cert");
    make("other");
  }
  void make(const std::string& name) {
    std::string command =
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext "
        "subjectAltName=DNS:localhost,IP:127.0.0.1 -out " +
        file(name + ".pem") + " -keyout " + file(name + ".key") + " 2>/dev/null";
    EXPECT_EQ(std::system(command.c_str()), 0);
  }
  std::string file(const std::string& name) { return (certificates_.path() / name).string(); }
  Answer get_trusting(const std::string& origin, const std::string& target) {
    httplib::Client client(origin);
    client.set_ca_cert_path(file("cert.pem").c_str());
    auto result = client.Get(target);
    if (!result) return {};
    return {true, result->status, result->headers, result->body};
  }

  TempFolder certificates_;
};

TEST_F(ServeHttpsTest, ServesBothAddressesUnderTheCertificate) {
  serve({.certificate = file("cert.pem"), .key = file("cert.key")});
  ASSERT_TRUE(server().endpoint().starts_with("https://127.0.0.1:"));
  EXPECT_EQ(get_trusting(server().endpoint(), "/kernels/org/norm/resolve/main/README.md").body, kText);
  Answer redirect = get_trusting(server().endpoint(), "/kernels/org/norm/resolve/main/build/v/norm.so");
  std::string address = redirect.header("Location");
  EXPECT_TRUE(address.starts_with(server().cdn() + "/") && address.starts_with("https://")) << address;
  EXPECT_EQ(get_trusting(server().cdn(), target_of(address)).body, kLibrary);
}

TEST_F(ServeHttpsTest, IsRefusedByAClientThatDoesNotTrustTheCertificate) {
  serve({.certificate = file("cert.pem"), .key = file("cert.key")});
  EXPECT_FALSE(get("/api/kernels/org/norm").complete);
  EXPECT_EQ(get_trusting(server().endpoint(), "/api/kernels/org/norm").status, 200);
}

TEST_F(ServeHttpsTest, NamesACertificateThatDoesNotServe) {
  auto failure = [&](const std::string& certificate, const std::string& key) {
    try {
      serve({.certificate = certificate, .key = key});
    } catch (const Error& e) {
      return e;
    }
    return Error(ErrorCode::internal, "", "");
  };
  EXPECT_EQ(failure(file("none.pem"), file("cert.key")).code(), ErrorCode::not_found);
  EXPECT_EQ(failure(file("cert.pem"), "").code(), ErrorCode::not_found);
  EXPECT_EQ(failure(file("cert.pem"), file("other.key")).code(), ErrorCode::invalid_argument);
  EXPECT_EQ(failure(file("cert.key"), file("cert.key")).code(), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace graft::test
