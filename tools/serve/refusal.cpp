#include "refusal.h"

#include <nlohmann/json.hpp>

namespace graft::server {

using nlohmann::json;

ServedReply error_reply(int status, const std::string& code, const std::string& message) {
  std::string line = message.substr(0, 1000);  // as a header it is one line
  for (char& c : line)
    if (static_cast<unsigned char>(c) < ' ' || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  ServedReply reply{.status = status};
  if (!code.empty()) reply.headers.emplace_back("X-Error-Code", code);
  reply.headers.emplace_back("X-Error-Message", line);
  reply.body = json{{"error", message}}.dump(-1, ' ', false, json::error_handler_t::replace);
  return reply;
}

Refusal repo_not_found(const RepoId& repo, bool with_valid_token) {
  // Without a token the Hub does not tell a private repo from one that is not there.
  if (!with_valid_token) return {error_reply(401, "RepoNotFound", "Invalid username or password.")};
  return {error_reply(404, "RepoNotFound", "Repository not found: " + repo.name)};
}

Refusal revision_not_found(const RepoId& repo, const std::string& revision) {
  return {error_reply(404, "RevisionNotFound", "Invalid rev id: " + revision + " of " + repo.name)};
}

Refusal entry_not_found(const std::string& commit, const std::string& path) {
  ServedReply reply = error_reply(404, "EntryNotFound", "Entry not found: " + path);
  reply.headers.emplace_back("X-Repo-Commit", commit);
  return {std::move(reply)};
}

Refusal gated(const RepoId& repo, bool with_valid_token) {
  return {error_reply(with_valid_token ? 403 : 401, "GatedRepo",
                      "Access to " + repo.name + " is restricted. " +
                          (with_valid_token ? "Your token is not in the authorized list."
                                            : "You must have access to it and be authenticated."))};
}

}  // namespace graft::server
