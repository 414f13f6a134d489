#include "graft/policy.h"

#include "graft/error.h"
#include "graft/trust.h"

namespace graft {
namespace {

void admit(TrustDecision& decision, const char* state, const char* rule, std::string reason) {
  decision.accepted = true;
  decision.state = state;
  decision.rule = rule;
  decision.reason = std::move(reason);
}

}  // namespace

TrustDecision decide_publisher(const Policy& policy, std::string_view repo, bool allow_all_kernels) {
  TrustDecision decision;
  decision.publisher = std::string(repo.substr(0, repo.find('/')));
  for (const std::string& denied : {std::string(repo), decision.publisher + "/*"})
    if (policy.denied_repos.contains(denied)) {
      decision.rule = "deny";
      decision.reason = denied + " is on the policy's deny list";
      return decision;
    }
  if (policy.trusted_publishers.contains(decision.publisher)) {
    admit(decision, "trusted", "trusted_publishers", decision.publisher + " is a trusted publisher");
  } else if (allow_all_kernels || policy.allow_all_kernels) {
    admit(decision, "allowed", "allow_all_kernels",
          decision.publisher + " is not a trusted publisher, but allow_all_kernels is set");
  } else {
    decision.rule = "trusted_publishers";
    decision.reason = decision.publisher + " is not a trusted publisher";
  }
  return decision;
}

void check_commit(const Policy& policy, const std::string& repo, const std::string& commit, TrustDecision& decision) {
  if (!policy.denied_commits.contains(commit)) return;
  decision.rule = "deny";
  throw Error(ErrorCode::untrusted, "kernel " + repo + "@" + commit, "its commit is on the policy's deny list",
              "name another version");
}

}  // namespace graft
