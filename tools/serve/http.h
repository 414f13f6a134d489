// A request and its reply, as the parts of the server see them: no part but http_listener.cpp knows the HTTP
// library.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "file_body.h"

namespace graft::server {

struct ServedRequest {
  std::string method;                               // "GET", "HEAD", …
  std::string target;                               // as sent, percent-encoded, with its query
  std::map<std::string, std::string> headers = {};  // names in lower case
  bool new_connection = false;                      // the first request of its connection

  /// "" for a header that is not there.
  std::string header(const std::string& name) const {
    auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

struct ServedReply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};  // JSON; not used with `file`
  std::shared_ptr<FileBody> file = nullptr;
};

}  // namespace graft::server
