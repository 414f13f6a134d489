// The Hub's API: refs, info, listings.
#include "file_hashes.h"
#include "serve_fixture.h"

namespace graft::test {
namespace {

using namespace server;

using nlohmann::json;

class ServeApiTest : public ServeTest {
 protected:
  /// The paths of a listing, directories with a slash behind them.
  std::vector<std::string> paths(const Answer& answer) {
    std::vector<std::string> paths;
    for (const json& item : answer.json())
      paths.push_back(item["path"].get<std::string>() + (item["type"] == "directory" ? "/" : ""));
    return paths;
  }
};

TEST_F(ServeApiTest, ListsBranchesAndTagsOfBothKinds) {
  for (std::string kind : {"kernels", "models"}) {
    Answer refs = get("/api/" + kind + "/org/norm/refs");
    ASSERT_EQ(refs.status, 200) << refs.body;
    json branch = {{"name", "feature/x"}, {"ref", "refs/heads/feature/x"}, {"targetCommit", kSide}};
    EXPECT_EQ(refs.json()["branches"][0], branch);
    EXPECT_EQ(refs.json()["branches"][1]["name"], "main");
    EXPECT_EQ(refs.json()["tags"][0]["ref"], "refs/tags/v1.0.0");
    EXPECT_TRUE(refs.json()["converts"].empty());
  }
}

TEST_F(ServeApiTest, SaysWhatARepoIs) {
  json info = get("/api/models/org/norm").json();
  EXPECT_EQ(info["id"], "org/norm");
  EXPECT_EQ(info["modelId"], "org/norm");
  EXPECT_EQ(info["author"], "org");
  EXPECT_EQ(info["sha"], kMain);
  EXPECT_EQ(info["private"], false);
  EXPECT_EQ(info["gated"], false);
  EXPECT_EQ(info["siblings"].size(), 4u);
  EXPECT_EQ(info["siblings"][0], (json{{"rfilename", "README.md"}}));
  EXPECT_FALSE(get("/api/kernels/org/norm").json().contains("modelId"));
}

TEST_F(ServeApiTest, SaysWhatARepoIsAtABranchTagOrCommit) {
  for (std::string revision : {"feature%2Fx", "feature/x", kSide.c_str()})
    EXPECT_EQ(get("/api/kernels/org/norm/revision/" + revision).json()["sha"], kSide) << revision;
  EXPECT_EQ(get("/api/kernels/org/norm/revision/v1.0.0").json()["sha"], kMain);
}

TEST_F(ServeApiTest, AddsTheFilesContentsToItsInfoIfAsked) {
  json files = get("/api/models/org/norm?blobs=true").json()["siblings"];
  EXPECT_EQ(files[0]["size"], kText.size());
  EXPECT_EQ(files[0]["blobId"], git_blob_sha1(kText));
  EXPECT_EQ(files[1]["lfs"]["size"], kLibrary.size());
}

TEST_F(ServeApiTest, ListsTheChildrenOfAFolder) {
  EXPECT_EQ(paths(get("/api/kernels/org/norm/tree/main")),
            (std::vector<std::string>{"README.md", "build/", "empty"}));
  EXPECT_EQ(paths(get("/api/kernels/org/norm/tree/main/build/v")),
            (std::vector<std::string>{"build/v/norm.so", "build/v/sub/"}));
  EXPECT_EQ(paths(get("/api/kernels/org/norm/tree/feature%2Fx")), std::vector<std::string>{"x.txt"});
}

TEST_F(ServeApiTest, ListsEverythingBelowAFolder) {
  for (std::string yes : {"true", "True", "1"})
    EXPECT_EQ(
        paths(get("/api/kernels/org/norm/tree/main/build?recursive=" + yes)),
        (std::vector<std::string>{"build/v/", "build/v/norm.so", "build/v/sub/", "build/v/sub/a b.txt"}));
  EXPECT_EQ(paths(get("/api/kernels/org/norm/tree/main?recursive=false")).size(), 3u);
}

TEST_F(ServeApiTest, NamesContentsAsGitAndLfsDo) {
  json files = get("/api/kernels/org/norm/tree/main?recursive=true").json();
  EXPECT_EQ(
      files[0],
      (json{{"type", "file"}, {"oid", git_blob_sha1(kText)}, {"size", kText.size()}, {"path", "README.md"}}));
  std::string sha256 =
      to_hex(hash_file(folder_.path() / "kernels/org/norm/commits" / kMain / "build/v/norm.so", "sha256"));
  std::string pointer = lfs_pointer(sha256, kLibrary.size());
  EXPECT_EQ(files[3]["lfs"],
            (json{{"oid", sha256}, {"size", kLibrary.size()}, {"pointerSize", pointer.size()}}));
  EXPECT_EQ(files[3]["oid"], git_blob_sha1(pointer));
}

TEST_F(ServeApiTest, NamesABlobByThePublishedSha1) {  // git hash-object of "hello\n" and of nothing
  EXPECT_EQ(git_blob_sha1("hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(git_blob_sha1(""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

TEST_F(ServeApiTest, AddsTheLastCommitIfAsked) {
  json files = get("/api/kernels/org/norm/tree/main?expand=True").json();
  for (const json& file : files) EXPECT_EQ(file["lastCommit"]["id"], kMain);
}

TEST_F(ServeApiTest, LeadsFromPageToPage) {
  serve({.page_size = 3});
  std::string target = "/api/kernels/org/norm/tree/main?recursive=true";
  std::vector<std::string> all;
  int pages = 0;
  while (!target.empty()) {
    Answer page = get(target);
    ASSERT_EQ(page.status, 200) << page.body;
    ++pages;
    EXPECT_LE(page.json().size(), 3u);
    for (const std::string& path : paths(page)) all.push_back(path);
    std::string link = page.header("Link");
    if (!link.empty()) {
      EXPECT_TRUE(link.starts_with("<" + server().endpoint() + "/api/"));
      EXPECT_TRUE(link.ends_with(">; rel=\"next\""));
    }
    target = link.empty() ? "" : target_of(link.substr(1, link.find('>') - 1));
  }
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(all, (std::vector<std::string>{"README.md", "build/", "build/v/", "build/v/norm.so",
                                           "build/v/sub/", "build/v/sub/a b.txt", "empty"}));
  EXPECT_EQ(server().counters().tree, 3u);
}

TEST_F(ServeApiTest, TakesASmallerPageThanItsOwnButNoLargerOne) {
  serve({.page_size = 3});
  EXPECT_EQ(get("/api/kernels/org/norm/tree/main?recursive=1&limit=2").json().size(), 2u);
  EXPECT_EQ(get("/api/kernels/org/norm/tree/main?recursive=1&limit=100").json().size(), 3u);
  for (std::string query :
       {"limit=0", "limit=x", "cursor=3", "cursor=after%3A", "cursor=after:99999999999999"})
    EXPECT_EQ(get("/api/kernels/org/norm/tree/main?" + query).status, 400) << query;
}

TEST_F(ServeApiTest, NamesWhatIsMissing) {
  Answer revision = get("/api/kernels/org/norm/tree/v7");
  EXPECT_EQ(revision.status, 404);
  EXPECT_EQ(revision.header("X-Error-Code"), "RevisionNotFound");
  EXPECT_EQ(get("/api/kernels/org/norm/revision/v7").header("X-Error-Code"), "RevisionNotFound");
  EXPECT_EQ(get("/api/kernels/org/norm/revision/main/more").header("X-Error-Code"), "RevisionNotFound");
  EXPECT_EQ(get("/api/kernels/org/norm/revision/" + std::string(40, 'c')).header("X-Error-Code"),
            "RevisionNotFound");
  Answer entry = get("/api/kernels/org/norm/tree/main/no/such");
  EXPECT_EQ(entry.status, 404);
  EXPECT_EQ(entry.header("X-Error-Code"), "EntryNotFound");
  EXPECT_EQ(entry.header("X-Repo-Commit"), kMain);
  EXPECT_TRUE(entry.json().contains("error"));
  Answer page = get("/api/datasets/org/norm");
  EXPECT_EQ(page.status, 404);
  EXPECT_EQ(page.header("X-Error-Code"), "");
}

TEST_F(ServeApiTest, CountsRequestsByWhatTheyAskFor) {
  get("/api/kernels/org/norm/refs");
  get("/api/kernels/org/norm");
  get("/api/kernels/org/norm");
  get("/kernels/org/norm/resolve/main/README.md");
  get("/favicon.ico");
  ServerCounters counters = server().counters();
  EXPECT_EQ(counters.refs, 1u);
  EXPECT_EQ(counters.info, 2u);
  EXPECT_EQ(counters.resolve, 1u);
  EXPECT_EQ(counters.other, 1u);
  EXPECT_EQ(counters.cdn, 0u);
  EXPECT_EQ(counters.connections, 5u);
  EXPECT_EQ(counters.file_bytes, kText.size());
  server().reset_counters();
  EXPECT_EQ(server().counters().info, 0u);
}

TEST_F(ServeApiTest, CountsAConnectionOnce) {
  httplib::Client client(server().endpoint());
  client.set_keep_alive(true);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.Get("/api/kernels/org/norm")->status, 200);
  EXPECT_EQ(server().counters().connections, 1u);
}

TEST_F(ServeApiTest, KeepsTheLatestRequest) {
  get("/api/kernels/org/norm?a=b", {{"X-Mine", "1"}});
  RecordedRequest last = server().last_request();
  EXPECT_EQ(last.method, "GET");
  EXPECT_EQ(last.target, "/api/kernels/org/norm?a=b");
  EXPECT_EQ(last.headers.at("x-mine"), "1");
}

TEST_F(ServeApiTest, ServesAWorkingCopyAsBranchMain) {
  write_file(folder_.path() / "kernels/me/new/build/v/k.so", "k");
  write_file(folder_.path() / "kernels/me/new/.git/config", "history");
  EXPECT_EQ(paths(get("/api/kernels/me/new/tree/main?recursive=true")),
            (std::vector<std::string>{"build/", "build/v/", "build/v/k.so"}));
  EXPECT_EQ(get("/kernels/me/new/resolve/main/.git/config").header("X-Error-Code"), "EntryNotFound");
}

}  // namespace
}  // namespace graft::test
