#include "api.h"

#include <algorithm>

#include "../hub_json.h"
#include "../json_text.h"
#include "graft/error.h"
#include "url.h"

namespace graft::api {
namespace {

using detail::Fields;
using detail::Json;

const char* plural(RepoKind kind) {
  return kind == RepoKind::kernel ? "kernels" : "models";
}

std::string api_url(const std::string& endpoint, const RepoId& repo) {
  return endpoint + "/api/" + plural(repo.kind) + "/" + percent_encode(repo.name, true);
}

/// The server's own words, for a message: one line, not too long.
std::string server_message(const HttpResponse& response) {
  std::string text = response.header("x-error-message");
  if (text.empty() && response.body.size() < 4096 && response.body.starts_with('{')) {
    try {
      const Json json = detail::parse_object(response.body, "error");
      text = Fields(json, "error").optional_text("error").value_or("");
    } catch (const Error&) {
    }
  }
  text = text.substr(0, 300);
  std::replace_if(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, ' ');
  return text;
}

}  // namespace

std::string refs_url(const std::string& endpoint, const RepoId& repo) {
  return api_url(endpoint, repo) + "/refs";
}

std::string info_url(const std::string& endpoint, const RepoId& repo, const std::string& revision) {
  return api_url(endpoint, repo) + "/revision/" + percent_encode(revision, false);
}

std::string tree_url(const std::string& endpoint, const RepoId& repo, const std::string& commit,
                     std::string_view prefix) {
  return api_url(endpoint, repo) + "/tree/" + percent_encode(commit, false) +
         (prefix.empty() ? "" : "/" + percent_encode(prefix, true)) + "?recursive=true";
}

std::string file_url(const std::string& endpoint, const RepoId& repo, const std::string& revision,
                     const std::string& path) {
  return endpoint + (repo.kind == RepoKind::kernel ? "/kernels/" : "/") + percent_encode(repo.name, true) +
         "/resolve/" + percent_encode(revision, false) + "/" + percent_encode(path, true);
}

std::string next_page(std::string_view header) {
  // <https://…?cursor=a>; rel="next", <…>; rel="prev"
  for (std::size_t open = header.find('<'); open != header.npos; open = header.find('<', open + 1)) {
    std::size_t close = header.find('>', open);
    if (close == header.npos) break;
    std::string_view parameters = header.substr(close + 1, header.find('<', close) - close - 1);
    if (parameters.find("rel=\"next\"") != parameters.npos || parameters.find("rel=next") != parameters.npos)
      return std::string(header.substr(open + 1, close - open - 1));
    open = close;
  }
  return {};
}

std::string range_header(std::uint64_t begin, std::uint64_t end) {
  return "Range: bytes=" + std::to_string(begin) + "-" + std::to_string(end - 1);
}

bool begins_at(const HttpResponse& response, std::uint64_t begin) {
  return response.status == 206 &&
         response.header("content-range").starts_with("bytes " + std::to_string(begin) + "-");
}

std::string normalized_etag(std::string_view header) {
  if (header.starts_with("W/")) header.remove_prefix(2);
  if (header.size() >= 2 && header.front() == '"' && header.back() == '"')
    header = header.substr(1, header.size() - 2);
  return std::string(header);
}

FileHeaders file_headers(const HttpResponse& response, const std::string& path) {
  // What the Hub says on the way wins over what a CDN says at its end.
  auto first = [&](std::initializer_list<const char*> names) -> std::string {
    for (const char* name : names) {
      if (auto it = response.redirects.find(name); it != response.redirects.end() && std::string_view(name).starts_with("x-"))
        return it->second;
      if (const std::string& own = response.header(name); !own.empty()) return own;
    }
    return {};
  };
  FileHeaders found;
  found.commit = first({"x-repo-commit"});
  if (!is_commit(found.commit)) found.commit.clear();
  found.file.path = path;
  std::string etag = normalized_etag(first({"x-linked-etag", "etag"}));
  if (is_hex(etag, 64)) found.file.sha256 = etag;
  if (is_hex(etag, 40)) found.file.oid = etag;
  std::string size = first({"x-linked-size"});
  if (size.empty() && !response.is_redirect()) size = response.header("content-length");
  bool plain = !size.empty() && size.size() <= 14 && size.find_first_not_of("0123456789") == size.npos;
  if ((found.file.sha256.empty() && found.file.oid.empty()) || (!plain && response.status != 304))
    throw Error(ErrorCode::corrupt, "answer of " + response.url.substr(0, response.url.find('?')),
                plain ? "its ETag is neither a SHA-1 nor a SHA-256" : "does not say how long the file is",
                "check HF_ENDPOINT and the proxy: what answers may be no Hub");
  if (plain) found.file.size = std::stoull(size);
  if (std::string xet = first({"x-xet-hash"}); is_hex(xet, 64)) found.file.xet_hash = xet;
  return found;
}

void check_status(const HttpResponse& response, const std::string& what, bool has_token) {
  if (response.status >= 200 && response.status < 300) return;
  const std::string& code = response.header("x-error-code");
  std::string said = server_message(response), status = std::to_string(response.status);
  std::string words = said.empty() ? "" : ": " + said;
  const std::string token_mend = has_token ? "give a token that may read it (HF_TOKEN)"
                                           : "log in first: HF_TOKEN, or the file that `hf auth login` writes";
  if (code == "RevisionNotFound")
    throw Error(ErrorCode::revision_not_found, what, "has no such revision" + words, "see which there are: graft versions");
  if (code == "EntryNotFound")
    throw Error(ErrorCode::not_found, what, "has no such file" + words, "list its files, or name another revision");
  if (code == "GatedRepo")
    throw Error(ErrorCode::gated, what, "is gated" + words,
                has_token ? "ask its publisher for access on its page, then try again" : token_mend);
  if (response.status == 401 && said.find("Invalid credentials") != said.npos)
    throw Error(ErrorCode::unauthorized, what, "the Hub does not know the token" + words,
                "make a new one, or unset HF_TOKEN for public repos");
  if (code == "RepoNotFound" || response.status == 401)
    throw Error(ErrorCode::not_found, what, "is not on the Hub, or private" + words,
                "check the name; if it is private, " + token_mend);
  if (response.status == 403)
    throw Error(ErrorCode::unauthorized, what, "is forbidden" + words, token_mend);
  if (response.status == 404)
    throw Error(ErrorCode::not_found, what, "is not there" + words, "check the name, and HF_ENDPOINT");
  if (is_unavailable(response.status))
    throw Error(ErrorCode::unavailable, what,
                response.status == 429 ? "the Hub wants fewer requests (429)" + words
                                       : "the Hub answers " + status + words,
                "try again later");
  throw Error(ErrorCode::corrupt, what, "the Hub gives an answer that is none: " + status + words,
              "check HF_ENDPOINT and the proxy");
}

}  // namespace graft::api
