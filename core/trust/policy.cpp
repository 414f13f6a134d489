#include "graft/trust.h"

namespace graft {

TrustDecision decide_publisher(const Policy& policy, std::string_view repo, bool allow_all_kernels) {
  TrustDecision decision;
  decision.publisher = std::string(repo.substr(0, repo.find('/')));
  if (policy.trusted_publishers.contains(decision.publisher)) {
    decision.accepted = true;
    decision.state = "trusted";
    decision.rule = "trusted_publishers";
    decision.reason = decision.publisher + " is a trusted publisher";
  } else if (allow_all_kernels) {
    decision.accepted = true;
    decision.state = "allowed";
    decision.rule = "allow_all_kernels";
    decision.reason = decision.publisher + " is not a trusted publisher, but allow_all_kernels is set";
  } else {
    decision.rule = "trusted_publishers";
    decision.reason = decision.publisher + " is not a trusted publisher";
  }
  return decision;
}

}  // namespace graft
