// Refusal: a reply that is an error, as the Hugging Face Hub words it.
#pragma once

#include <string>

#include "graft/hub.h"
#include "http.h"

namespace graft::server {

/// Thrown by whatever answers a request; the reply is sent as it is.
struct Refusal {
  ServedReply reply;
};

/// A reply with the Hub's error headers and a JSON body. `code` is X-Error-Code; "": none.
ServedReply error_reply(int status, const std::string& code, const std::string& message);

Refusal repo_not_found(const RepoId& repo, bool with_valid_token);
Refusal revision_not_found(const RepoId& repo, const std::string& revision);
Refusal entry_not_found(const std::string& commit, const std::string& path);
Refusal gated(const RepoId& repo, bool with_valid_token);

}  // namespace graft::server
