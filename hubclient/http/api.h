// The Hugging Face Hub's HTTP interface: addresses, headers, and what its errors mean. (What its bodies hold: hub_json.h.)
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graft/hub.h"
#include "http_client.h"

namespace graft::api {

// Addresses below the endpoint, from https://huggingface.co/docs/hub/api and huggingface_hub.
std::string refs_url(const std::string& endpoint, const RepoId& repo);
std::string info_url(const std::string& endpoint, const RepoId& repo, const std::string& revision);
std::string tree_url(const std::string& endpoint, const RepoId& repo, const std::string& commit,
                     std::string_view prefix);
std::string file_url(const std::string& endpoint, const RepoId& repo, const std::string& revision,
                     const std::string& path);

/// Where the next page is, from a Link header (RFC 8288): the target of rel="next", or "".
std::string next_page(std::string_view link_header);

/// What the headers of a file's answer, and of the redirects before it, say of the file.
struct FileHeaders {
  std::string commit;  // X-Repo-Commit; "" if it is none
  HubFile file;        // its hash from X-Linked-Etag, else ETag; size from X-Linked-Size, else Content-Length
};
FileHeaders file_headers(const HttpResponse& response, const std::string& path);

/// "Range: bytes=0-99" for [0, 100).
std::string range_header(std::uint64_t begin, std::uint64_t end);

/// Whether the answer to such a request holds the bytes from `begin` on; 200 would hold all of the file.
bool begins_at(const HttpResponse& response, std::uint64_t begin);

/// The value of an ETag header: W/"abc" → abc.
std::string normalized_etag(std::string_view header);

/// Throws what the answer means unless its status is 2xx: not_found, revision_not_found, gated,
/// unauthorized, unavailable. `what` begins the message: "model repo org/name". `has_token`: one was sent.
void check_status(const HttpResponse& response, const std::string& what, bool has_token);

}  // namespace graft::api
