#include <gtest/gtest.h>

#include "graft/error.h"
#include "graft/sigstore.h"
#include "little_sigstore.h"

namespace graft::test {
namespace {

std::string why(const Json& root) {
  try {
    TrustedRoot::parse(root.dump(), "root.json");
    return "";
  } catch (const Error& e) {
    return std::string(name(e.code())) + ": " + e.what();
  }
}

TEST(TrustedRoot, ComesWithThePublicInstances) {
  const TrustedRoot& root = TrustedRoot::embedded();
  int logs = 0, authorities = 0;
  for (const TrustedRoot::Service& service : root.services()) {
    logs += service.kind == "transparency log";
    authorities += service.kind == "certificate authority" && service.uri == "https://fulcio.sigstore.dev";
  }
  EXPECT_GE(logs, 2);
  EXPECT_GE(authorities, 1);
  EXPECT_GT(root.expires(), kNow);  // Fulcio's own certificates end in 2031
}

TEST(TrustedRoot, SaysWhenTheLastOfAKindEnds) {
  Json json = LittleSigstore().root();
  EXPECT_EQ(TrustedRoot::parse(json.dump(), "root").expires(), kNow + kYear);  // the CA's certificates'
  json["tlogs"][0]["publicKey"]["validFor"]["end"] = "2025-06-15T15:06:40Z";
  EXPECT_EQ(TrustedRoot::parse(json.dump(), "root").expires(), kNow + kYear);  // the other log goes on
  json["tlogs"][1]["publicKey"]["validFor"]["end"] = "2025-06-15T15:06:41Z";
  EXPECT_EQ(TrustedRoot::parse(json.dump(), "root").expires(), kNow + 1);
}

TEST(TrustedRoot, IsReadStrictly) {
  const Json good = LittleSigstore().root();
  EXPECT_EQ(why(good), "");
  const auto changed = [&](const std::function<void(Json&)>& change) {
    Json json = good;
    change(json);
    return why(json);
  };
  EXPECT_EQ(changed([](Json& r) { r["mediaType"] = "x"; }).substr(0, 11), "unsupported");
  for (const char* list : {"tlogs", "ctlogs"}) {
    EXPECT_NE(changed([&](Json& r) {
                r[list][0]["publicKey"]["validFor"].erase("start");
              }).find("\"start\" is missing"),
              std::string::npos);
    EXPECT_NE(
        changed([&](Json& r) { r[list][0]["publicKey"].erase("validFor"); }).find("\"validFor\" is missing"),
        std::string::npos);
    EXPECT_NE(changed([&](Json& r) {
                r[list][0]["publicKey"]["validFor"]["end"] = "1999-01-01T00:00:00Z";
              }).find("before"),
              std::string::npos);
    EXPECT_NE(changed([&](Json& r) {
                r[list][0]["publicKey"]["keyDetails"] = "PKIX_ECDSA_P384_SHA_384";
              }).find("does not fit"),
              std::string::npos);
    EXPECT_NE(changed([&](Json& r) { r[list][0]["extra"] = 1; }).find("not a field"), std::string::npos);
  }
  EXPECT_NE(changed([](Json& r) {
              r["certificateAuthorities"][0]["certChain"]["certificates"] = Json::array();
            }).find("is empty"),
            std::string::npos);
  EXPECT_NE(changed([](Json& r) {
              r["certificateAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"] = "AAAA";
            }).find("not an X.509"),
            std::string::npos);
  EXPECT_EQ(changed([](Json& r) { r["tlogs"][0]["publicKey"]["keyDetails"] = "ML_DSA_65"; }),
            "");  // kept, verifies nothing
}

}  // namespace
}  // namespace graft::test
