// The bytes of files, at the Hub and at its CDN.
#include "file_hashes.h"
#include "serve_fixture.h"

namespace graft::test {
namespace {

using namespace server;

const std::string kReadme = "/kernels/org/norm/resolve/main/README.md";
const std::string kSo = "/kernels/org/norm/resolve/main/build/v/norm.so";

class ServeResolveTest : public ServeTest {
 protected:
  std::string etag() { return "\"" + git_blob_sha1(kText) + "\""; }
};

TEST_F(ServeResolveTest, GivesAGitFileItself) {
  Answer file = get(kReadme);
  EXPECT_EQ(file.status, 200);
  EXPECT_EQ(file.body, kText);
  EXPECT_EQ(file.header("ETag"), etag());
  EXPECT_EQ(file.header("X-Repo-Commit"), kMain);
  EXPECT_EQ(file.header("Content-Length"), std::to_string(kText.size()));
  EXPECT_EQ(file.header("Accept-Ranges"), "bytes");
}

TEST_F(ServeResolveTest, AnswersHeadWithTheSameHeaders) {
  Answer file = head(kReadme);
  EXPECT_EQ(file.status, 200);
  EXPECT_EQ(file.body, "");
  EXPECT_EQ(file.header("ETag"), etag());
  EXPECT_EQ(file.header("Content-Length"), std::to_string(kText.size()));
  EXPECT_EQ(head(kSo).status, 302);
  EXPECT_EQ(server().counters().file_bytes, 0u);
}

TEST_F(ServeResolveTest, FindsFilesByBranchTagAndCommitOfBothKinds) {
  for (std::string revision : {"main", "v1.0.0", kMain.c_str()}) {
    EXPECT_EQ(get("/kernels/org/norm/resolve/" + revision + "/README.md").body, kText) << revision;
    EXPECT_EQ(get("/org/norm/resolve/" + revision + "/README.md").body, kText) << revision;
  }
  EXPECT_EQ(get("/org/norm/resolve/feature%2Fx/x.txt").body, "side");
  EXPECT_EQ(get("/org/norm/resolve/feature/x/x.txt").body, "side");
}

TEST_F(ServeResolveTest, TakesNamesThatNeedEscapesAndEmptyFiles) {
  EXPECT_EQ(get("/kernels/org/norm/resolve/main/build/v/sub/a%20b.txt").body, "12");
  EXPECT_EQ(get("/kernels/org/norm/resolve/main/build%2Fv%2Fsub%2Fa%20b.txt").body, "12");
  write_file(folder_.path() / "kernels/org/norm/commits" / kMain / "ä.safetensors", "umlaut");
  EXPECT_EQ(get_from_cdn("/kernels/org/norm/resolve/main/%C3%A4.safetensors").body, "umlaut");
  Answer empty = get("/kernels/org/norm/resolve/main/empty");
  EXPECT_EQ(empty.status, 200);
  EXPECT_EQ(empty.body, "");
  EXPECT_EQ(empty.header("Content-Length"), "0");
}

TEST_F(ServeResolveTest, CutsOutRanges) {
  struct Case {
    std::string range;
    int status;
    std::string body, content_range;
  };
  std::string size = std::to_string(kText.size());
  for (const Case& c :
       {Case{"bytes=0-3", 206, "norm", "bytes 0-3/" + size},
        Case{"bytes=8-", 206, "kernel\n", "bytes 8-14/" + size},
        Case{"bytes=-3", 206, "el\n", "bytes 12-14/" + size},
        Case{"bytes=4-999", 206, kText.substr(4), "bytes 4-14/" + size},
        Case{"bytes=-999", 206, kText, "bytes 0-14/" + size}, Case{"bytes=0-1,3-4", 200, kText, ""},
        Case{"bytes=15-", 416, "", "bytes */" + size}}) {
    Answer answer = get(kReadme, {{"Range", c.range}});
    EXPECT_EQ(answer.status, c.status) << c.range;
    EXPECT_EQ(c.status == 416 ? "" : answer.body, c.body) << c.range;
    EXPECT_EQ(answer.header("Content-Range"), c.content_range) << c.range;
  }
}

TEST_F(ServeResolveTest, CutsARangeOnlyOfTheFileThatIsMeant) {
  EXPECT_EQ(get(kReadme, {{"Range", "bytes=0-3"}, {"If-Range", etag()}}).status, 206);
  EXPECT_EQ(get(kReadme, {{"Range", "bytes=0-3"}, {"If-Range", "\"other\""}}).body, kText);
}

TEST_F(ServeResolveTest, LeavesJsonWholeWhateverRangeIsAskedFor) {
  EXPECT_NO_THROW(get("/api/kernels/org/norm", {{"Range", "bytes=0-3"}}).json());
  EXPECT_NO_THROW(get("/kernels/org/norm/resolve/v7/x", {{"Range", "bytes=0-3"}}).json());
}

TEST_F(ServeResolveTest, SaysThatAFileIsStillTheSame) {
  for (std::string list : {etag(), "W/" + etag(), "\"x\", " + etag(), std::string("*")}) {
    Answer same = get(kReadme, {{"If-None-Match", list}});
    EXPECT_EQ(same.status, 304) << list;
    EXPECT_EQ(same.body, "");
    EXPECT_EQ(same.header("ETag"), etag());
    EXPECT_EQ(same.header("X-Repo-Commit"), kMain);
  }
  EXPECT_EQ(get(kReadme, {{"If-None-Match", "\"other\""}}).status, 200);
  std::string linked = get(kSo).header("X-Linked-Etag");
  Answer same = get(kSo, {{"If-None-Match", linked}});
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.header("ETag"), linked);
}

TEST_F(ServeResolveTest, LeadsToTheCdnForALargeFile) {
  Answer redirect = get(kSo);
  EXPECT_EQ(redirect.status, 302);
  EXPECT_EQ(redirect.header("X-Repo-Commit"), kMain);
  EXPECT_EQ(redirect.header("X-Linked-Size"), std::to_string(kLibrary.size()));
  std::string sha256 =
      to_hex(hash_file(folder_.path() / "kernels/org/norm/commits" / kMain / "build/v/norm.so", "sha256"));
  EXPECT_EQ(redirect.header("X-Linked-Etag"), "\"" + sha256 + "\"");
  EXPECT_TRUE(redirect.header("Location").starts_with(server().cdn() + "/"));
  EXPECT_NE(server().cdn(), server().endpoint());
  EXPECT_EQ(get_from_cdn(kSo).body, kLibrary);
  EXPECT_EQ(get_from_cdn(kSo, {{"Range", "bytes=2-4"}}).body, "234");
  EXPECT_EQ(get_from_cdn("/org/norm/resolve/main/build/v/norm.so").body, kLibrary);
}

TEST_F(ServeResolveTest, TakesTenMegabytesAsLarge) {
  EXPECT_TRUE(is_lfs("a.bin", 10'000'000));
  EXPECT_FALSE(is_lfs("a.bin", 9'999'999));
  EXPECT_TRUE(is_lfs("a.safetensors", 1));
  EXPECT_FALSE(is_lfs("a.so.txt", 1));
}

TEST_F(ServeResolveTest, SendsALargeFileWhole) {
  std::string bytes;
  for (int i = 0; bytes.size() < 12'000'000; ++i) bytes += std::to_string(i) + ",";
  write_file(folder_.path() / "models/org/norm/commits" / kMain / "big.bin", bytes);
  Answer big = get_from_cdn("/org/norm/resolve/main/big.bin");
  EXPECT_TRUE(big.complete);
  EXPECT_TRUE(big.body == bytes);
  Answer tail = get_from_cdn("/org/norm/resolve/main/big.bin", {{"Range", "bytes=2000000-"}});
  EXPECT_TRUE(tail.body == bytes.substr(2'000'000));
}

TEST_F(ServeResolveTest, RefusesATokenAtTheCdnAndCountsIt) {
  EXPECT_EQ(get_from_cdn(kSo, {{"Authorization", "Bearer secret"}}).status, 400);
  EXPECT_EQ(server().counters().authorizations_at_cdn, 1u);
  EXPECT_EQ(server().counters().cdn, 1u);
}

TEST_F(ServeResolveTest, GivesNothingAtTheCdnWithoutItsSignature) {
  std::string target = target_of(get(kSo).header("Location"));
  EXPECT_EQ(request(server().cdn(), target.substr(0, target.find('?'))).status, 403);
  EXPECT_EQ(request(server().cdn(), target + "0").status, 403);
  std::string other = target;
  other.replace(other.find("norm.so"), 7, "else.so");
  EXPECT_EQ(request(server().cdn(), other).status, 403);
  EXPECT_EQ(request(server().cdn(), "/").status, 403);
}

TEST_F(ServeResolveTest, NamesTheCdnAsItWasTold) {
  serve({.cdn_host = "localhost"});
  EXPECT_TRUE(server().cdn().starts_with("http://localhost:"));
  EXPECT_TRUE(get(kSo).header("Location").starts_with("http://localhost:"));
}

TEST_F(ServeResolveTest, NamesTheCdnAsTheClientNamesTheHubIfItListensEverywhere) {
  serve({.host = "0.0.0.0"});
  std::string port = server().endpoint().substr(server().endpoint().rfind(':'));
  Answer redirect = request("http://127.0.0.1" + port, kSo);
  EXPECT_TRUE(redirect.header("Location").starts_with("http://127.0.0.1:")) << redirect.header("Location");
}

TEST_F(ServeResolveTest, SeesThatAFileHasChanged) {
  get(kReadme);
  write_file(folder_.path() / "kernels/org/norm/commits" / kMain / "README.md", "another one");
  EXPECT_EQ(get(kReadme).header("ETag"), "\"" + git_blob_sha1("another one") + "\"");
}

TEST_F(ServeResolveTest, NamesWhatIsMissing) {
  Answer entry = get("/kernels/org/norm/resolve/main/nothing");
  EXPECT_EQ(entry.status, 404);
  EXPECT_EQ(entry.header("X-Error-Code"), "EntryNotFound");
  EXPECT_EQ(entry.header("X-Repo-Commit"), kMain);
  EXPECT_EQ(get("/kernels/org/norm/resolve/main/build").header("X-Error-Code"), "EntryNotFound");
  EXPECT_EQ(get("/kernels/org/norm/resolve/v7/README.md").header("X-Error-Code"), "RevisionNotFound");
  EXPECT_EQ(head("/kernels/org/norm/resolve/v7/README.md").header("X-Error-Code"), "RevisionNotFound");
}

}  // namespace
}  // namespace graft::test
