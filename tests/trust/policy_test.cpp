#include <gtest/gtest.h>

#include "graft/trust.h"

namespace graft {
namespace {

TEST(Policy, TrustsTheDefaultPublishers) {
  for (const char* repo : {"graft-kernels/norm", "kernels-community/liger_kernels"}) {
    TrustDecision decision = decide_publisher({}, repo, false);
    EXPECT_TRUE(decision.accepted);
    EXPECT_EQ(decision.state, "trusted");
    EXPECT_EQ(decision.rule, "trusted_publishers");
  }
}

TEST(Policy, RefusesAnUnknownPublisherUnlessAllAreAllowed) {
  TrustDecision refused = decide_publisher({}, "random-repo/random-attention", false);
  EXPECT_FALSE(refused.accepted);
  EXPECT_EQ(refused.state, "refused");
  EXPECT_EQ(refused.publisher, "random-repo");
  TrustDecision allowed = decide_publisher({}, "random-repo/random-attention", true);
  EXPECT_TRUE(allowed.accepted);
  EXPECT_EQ(allowed.state, "allowed");
  EXPECT_EQ(allowed.rule, "allow_all_kernels");
}

TEST(Policy, ComparesTheWholePublishersName) {
  EXPECT_FALSE(decide_publisher({}, "graft-kernels-evil/norm", false).accepted);
  EXPECT_FALSE(decide_publisher({}, "graft/kernels-community", false).accepted);
}

}  // namespace
}  // namespace graft
