#include "http/url.h"

#include <gtest/gtest.h>

#include "graft/error.h"

namespace graft {
namespace {

std::string refusal(const std::string& base, const std::string& location) {
  try {
    return redirected(base, location);
  } catch (const Error& e) {
    return name(e.code());
  }
}

TEST(Url, OriginIsSchemeHostAndPort) {
  EXPECT_EQ(origin_of("https://Hub.Example/a?b"), "https://hub.example:443");
  EXPECT_EQ(origin_of("http://hub.example:8080"), "http://hub.example:8080");
  EXPECT_NE(origin_of("http://hub.example"), origin_of("https://hub.example"));
  EXPECT_EQ(origin_of("https://user@hub.example"), "https://hub.example:443");
  EXPECT_EQ(origin_of("https://hub.example@evil.example"), "https://evil.example:443");
}

TEST(Url, RefusesWhatIsNoHub) {
  for (const char* url : {"", "hub.example", "ftp://hub.example", "file:///x", "http://", "http:// x"})
    EXPECT_THROW(origin_of(url), Error) << url;
}

TEST(Redirect, LeadsToAbsoluteAndRelativePlaces) {
  EXPECT_EQ(redirected("https://a/b/c?d", "/x/y"), "https://a/x/y");
  EXPECT_EQ(redirected("https://a/b/c", "e"), "https://a/b/e");
  EXPECT_EQ(redirected("https://a/b", "https://cdn.example/f?sig=1"), "https://cdn.example/f?sig=1");
  EXPECT_EQ(redirected("http://a/b", "https://a/b"), "https://a/b");
}

TEST(Redirect, NeverFallsFromHttpsToHttp) {
  EXPECT_EQ(refusal("https://a/b", "http://a/b"), "untrusted");
  EXPECT_EQ(refusal("https://a/b", "HTTP://a/b"), "untrusted");
}

TEST(Redirect, NeverLeavesHttp) {
  for (const char* location : {"file:///etc/passwd", "ftp://a/b", "gopher://a", "dict://a"})
    EXPECT_EQ(refusal("http://a/b", location), "untrusted") << location;
  EXPECT_EQ(refusal("http://a/b", ""), "corrupt");
}

TEST(PercentEncode, LeavesUnreservedBytesAlone) {
  EXPECT_EQ(percent_encode("aZ09-._~", false), "aZ09-._~");
  EXPECT_EQ(percent_encode("feature/x", false), "feature%2Fx");
  EXPECT_EQ(percent_encode("build/a b?c#d%", true), "build/a%20b%3Fc%23d%25");
  EXPECT_EQ(percent_encode("\xc3\xa4\r\n", true), "%C3%A4%0D%0A");
}

}  // namespace
}  // namespace graft
