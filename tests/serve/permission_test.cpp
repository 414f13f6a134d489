// Who may read what; names that lead elsewhere.
#include "serve_fixture.h"

namespace graft::test {
namespace {

const std::string kFile = "/kernels/org/norm/resolve/main/README.md";
const httplib::Headers kOwner = {{"Authorization", "Bearer hf_mine"}};
const httplib::Headers kStranger = {{"Authorization", "Bearer hf_other"}};
const httplib::Headers kInvalid = {{"Authorization", "Bearer hf_wrong"}};

class ServePermissionTest : public ServeTest {
 protected:
  static ServerOptions tokens() { return {.token = "hf_mine", .stranger_token = "hf_other"}; }
  static ServerOptions with_private() {
    ServerOptions options = tokens();
    options.private_repos = {"org/norm"};
    return options;
  }
  static ServerOptions with_gated() {
    ServerOptions options = tokens();
    options.gated_repos = {"org/norm"};
    return options;
  }
};

TEST_F(ServePermissionTest, HidesAMissingRepoFromWhoHasNoToken) {
  serve(tokens());
  for (std::string target :
       {"/api/kernels/org/none", "/api/kernels/org/none/refs", "/api/kernels/org/none/tree/main",
        "/kernels/org/none/resolve/main/x", "/org/none/resolve/main/x"}) {
    Answer anonymous = get(target);
    EXPECT_EQ(anonymous.status, 401) << target;
    EXPECT_EQ(anonymous.header("X-Error-Code"), "RepoNotFound") << target;
    EXPECT_FALSE(anonymous.header("X-Error-Message").empty());
    EXPECT_TRUE(anonymous.json().contains("error"));
    EXPECT_EQ(get(target, kOwner).status, 404) << target;
    EXPECT_EQ(get(target, kOwner).header("X-Error-Code"), "RepoNotFound") << target;
  }
}

TEST_F(ServePermissionTest, ShowsAPrivateRepoToItsTokenAlone) {
  serve(with_private());
  for (std::string target : {"/api/kernels/org/norm", "/api/kernels/org/norm/refs",
                             "/api/kernels/org/norm/tree/main", kFile.c_str()}) {
    EXPECT_EQ(get(target, kOwner).status, 200) << target;
    EXPECT_EQ(get(target).status, 401) << target;
    EXPECT_EQ(get(target).header("X-Error-Code"), "RepoNotFound") << target;
    EXPECT_EQ(get(target, kStranger).status, 404) << target;
    EXPECT_EQ(get(target, kStranger).header("X-Error-Code"), "RepoNotFound") << target;
  }
  EXPECT_EQ(get("/api/kernels/org/norm", kOwner).json()["private"], true);
}

TEST_F(ServePermissionTest, ShowsAGatedReposListingsToAllAndItsFilesToItsToken) {
  serve(with_gated());
  for (std::string target :
       {"/api/kernels/org/norm", "/api/kernels/org/norm/refs", "/api/kernels/org/norm/tree/main"})
    EXPECT_EQ(get(target).status, 200) << target;
  EXPECT_EQ(get("/api/kernels/org/norm").json()["gated"], "manual");
  EXPECT_EQ(get(kFile, kOwner).status, 200);
  EXPECT_EQ(get(kFile).status, 401);
  EXPECT_EQ(get(kFile).header("X-Error-Code"), "GatedRepo");
  EXPECT_EQ(get(kFile, kStranger).status, 403);
  EXPECT_EQ(get(kFile, kStranger).header("X-Error-Code"), "GatedRepo");
}

TEST_F(ServePermissionTest, RefusesAWrongTokenEverywhere) {
  serve(tokens());
  for (std::string target : {"/api/kernels/org/norm", kFile.c_str(), "/api/kernels/org/none"}) {
    Answer refused = get(target, kInvalid);
    EXPECT_EQ(refused.status, 401) << target;
    EXPECT_EQ(refused.header("X-Error-Code"), "");
    EXPECT_EQ(refused.header("X-Error-Message"), "Invalid credentials in Authorization header");
  }
  EXPECT_EQ(get(kFile, {{"Authorization", "Basic hf_mine"}}).status, 401);
}

TEST_F(ServePermissionTest, TakesAnyTokenIfItHasNone) {
  EXPECT_EQ(get(kFile, kInvalid).status, 200);
}

TEST_F(ServePermissionTest, LeadsFromAnOldNameToTheNewOneByARelativeAddress) {
  serve({.renamed = {{"old/name", "org/norm"}}});
  for (auto [from, to] : std::map<std::string, std::string>{
           {"/api/kernels/old/name", "/api/kernels/org/norm"},
           {"/api/models/old/name/refs", "/api/models/org/norm/refs"},
           {"/api/kernels/old/name/tree/feature%2Fx?recursive=true",
            "/api/kernels/org/norm/tree/feature%2Fx?recursive=true"},
           {"/kernels/old/name/resolve/main/README.md", "/kernels/org/norm/resolve/main/README.md"},
           {"/old/name/resolve/main/README.md", "/org/norm/resolve/main/README.md"}}) {
    Answer moved = get(from);
    EXPECT_EQ(moved.status, 307) << from;
    // The library's client decodes what it reads in a header.
    EXPECT_NE(raw_get(from).find("\r\nLocation: " + to + "\r\n"), std::string::npos) << from;
    EXPECT_EQ(get(to).status, 200) << to;
  }
}

TEST_F(ServePermissionTest, NeedsOptionsThatFitTogether) {
  auto code = [&](ServerOptions options) {
    try {
      serve(std::move(options));
    } catch (const Error& e) {
      return e.code();
    }
    return ErrorCode::internal;
  };
  EXPECT_EQ(code({.private_repos = {"org/norm"}}), ErrorCode::invalid_argument);
  EXPECT_EQ(code({.token = "t", .gated_repos = {"norm"}}), ErrorCode::invalid_argument);
  EXPECT_EQ(code({.renamed = {{"a/b", "../c"}}}), ErrorCode::invalid_argument);
  EXPECT_EQ(code({.page_size = 0}), ErrorCode::invalid_argument);
  EXPECT_THROW(HubServer({.root = folder_.path() / "none"}), Error);
}

}  // namespace
}  // namespace graft::test
