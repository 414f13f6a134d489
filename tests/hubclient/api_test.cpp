#include "http/api.h"

#include <gtest/gtest.h>

#include "graft/error.h"

namespace graft {
namespace {

const RepoId kKernel{RepoKind::kernel, "org/norm"}, kModel{RepoKind::model, "org/llm"};
const std::string kSha1(40, '1'), kSha256(64, '2'), kCommit(40, 'a');

TEST(Api, KnowsTheHubsAddresses) {
  EXPECT_EQ(api::refs_url("http://h", kKernel), "http://h/api/kernels/org/norm/refs");
  EXPECT_EQ(api::info_url("http://h", kModel, "refs/pr/1"), "http://h/api/models/org/llm/revision/refs%2Fpr%2F1");
  EXPECT_EQ(api::tree_url("http://h", kKernel, "main", "build/a b"),
            "http://h/api/kernels/org/norm/tree/main/build/a%20b?recursive=true");
  EXPECT_EQ(api::tree_url("http://h", kKernel, "main", ""), "http://h/api/kernels/org/norm/tree/main?recursive=true");
  EXPECT_EQ(api::file_url("http://h", kKernel, "v1", "build/x"), "http://h/kernels/org/norm/resolve/v1/build/x");
  EXPECT_EQ(api::file_url("http://h", kModel, "v1", "x"), "http://h/org/llm/resolve/v1/x");
}

TEST(Api, FindsTheNextPage) {
  EXPECT_EQ(api::next_page("<http://h/p?cursor=2>; rel=\"next\""), "http://h/p?cursor=2");
  EXPECT_EQ(api::next_page("<http://h/1>; rel=\"prev\", <http://h/3>; rel=\"next\""), "http://h/3");
  for (const char* none : {"", "<http://h/1>; rel=\"prev\"", "<http://h/1", "rel=\"next\"", "<>"})
    EXPECT_EQ(api::next_page(none), "") << none;
}

TEST(Api, ReadsEtagsAsPythonDoes) {
  EXPECT_EQ(api::normalized_etag("\"abc\""), "abc");
  EXPECT_EQ(api::normalized_etag("W/\"abc\""), "abc");
  EXPECT_EQ(api::normalized_etag("abc"), "abc");
  EXPECT_EQ(api::normalized_etag("\""), "\"");
}

TEST(Api, ReadsAFileFromItsHeaders) {
  api::FileHeaders git = api::file_headers(
      {.status = 200, .headers = {{"etag", "\"" + kSha1 + "\""}, {"content-length", "12"}, {"x-repo-commit", kCommit}}},
      "a");
  EXPECT_EQ(git.commit, kCommit);
  EXPECT_EQ(git.file.oid, kSha1);
  EXPECT_EQ(git.file.size, 12u);
  api::FileHeaders lfs = api::file_headers({.status = 302,
                                            .headers = {{"location", "http://cdn/x"},
                                                        {"x-linked-etag", "\"" + kSha256 + "\""},
                                                        {"x-linked-size", "99"},
                                                        {"x-repo-commit", kCommit},
                                                        {"content-length", "5"}}},
                                           "a");
  EXPECT_EQ(lfs.file.sha256, kSha256);
  EXPECT_EQ(lfs.file.size, 99u);
}

TEST(Api, BelievesTheHubBeforeTheServerBehindItsRedirect) {
  api::FileHeaders found = api::file_headers(
      {.status = 200,
       .headers = {{"etag", "\"cdn\""}, {"content-length", "7"}, {"x-linked-etag", std::string(64, '9')}},
       .redirects = {{"x-linked-etag", kSha256}, {"x-linked-size", "99"}, {"x-repo-commit", kCommit}}},
      "a");
  EXPECT_EQ(found.file.sha256, kSha256);
  EXPECT_EQ(found.file.size, 99u);
  EXPECT_EQ(found.commit, kCommit);
}

TEST(Api, RefusesHeadersThatAreNoHubs) {
  for (HttpHeaders headers : {HttpHeaders{{"content-length", "5"}},
                              {{"etag", "\"5f-abc\""}, {"content-length", "5"}},
                              {{"etag", kSha1}},
                              {{"etag", kSha1}, {"content-length", "-5"}},
                              {{"etag", kSha1}, {"content-length", "99999999999999999999"}},
                              {{"etag", "../../x"}, {"content-length", "5"}}})
    EXPECT_THROW(api::file_headers({.status = 200, .headers = headers}, "a"), Error);
  EXPECT_EQ(api::file_headers({.status = 200, .headers = {{"etag", kSha1}, {"content-length", "5"}, {"x-repo-commit", "../x"}}}, "a").commit, "");
}

std::string meaning(int status, HttpHeaders headers, bool has_token = false, std::string body = {}) {
  try {
    api::check_status({.status = status, .headers = std::move(headers), .body = std::move(body)}, "model repo a/b", has_token);
  } catch (const Error& e) {
    return std::string(name(e.code())) + ": " + e.what();
  }
  return "fine";
}

TEST(Api, KnowsWhatTheHubsErrorsMean) {
  auto begins = [](const std::string& text, const std::string& code) { return text.starts_with(code + ": model repo a/b: "); };
  EXPECT_EQ(meaning(200, {}), "fine");
  EXPECT_EQ(meaning(206, {}), "fine");
  EXPECT_TRUE(begins(meaning(404, {{"x-error-code", "RevisionNotFound"}}), "revision_not_found"));
  EXPECT_TRUE(begins(meaning(404, {{"x-error-code", "EntryNotFound"}}), "not_found"));
  EXPECT_TRUE(begins(meaning(401, {{"x-error-code", "RepoNotFound"}}), "not_found"));
  EXPECT_TRUE(begins(meaning(401, {}), "not_found"));
  EXPECT_TRUE(begins(meaning(404, {}), "not_found"));
  EXPECT_TRUE(begins(meaning(403, {{"x-error-code", "GatedRepo"}}), "gated"));
  EXPECT_TRUE(begins(meaning(401, {{"x-error-message", "Invalid credentials in Authorization header"}}), "unauthorized"));
  EXPECT_TRUE(begins(meaning(403, {}), "unauthorized"));
  for (int status : {408, 429, 500, 502, 503, 504}) EXPECT_TRUE(begins(meaning(status, {}), "unavailable")) << status;
  for (int status : {302, 400, 418}) EXPECT_TRUE(begins(meaning(status, {}), "corrupt")) << status;
}

TEST(Api, TellsWhatTheServerSaidOnOneLine) {
  EXPECT_NE(meaning(503, {{"x-error-message", "tea time"}}).find("503: tea time"), std::string::npos);
  std::string from_body = meaning(503, {}, false, R"({"error": "line one\nline two"})");
  EXPECT_NE(from_body.find("line one line two"), std::string::npos) << from_body;
  EXPECT_LT(meaning(503, {{"x-error-message", std::string(100'000, 'x')}}).size(), 600u);
}

TEST(Api, SaysHowToMendWhatATokenWouldMend) {
  EXPECT_NE(meaning(401, {{"x-error-code", "GatedRepo"}}, false).find("HF_TOKEN"), std::string::npos);
  EXPECT_NE(meaning(403, {{"x-error-code", "GatedRepo"}}, true).find("ask its publisher"), std::string::npos);
}

}  // namespace
}  // namespace graft
