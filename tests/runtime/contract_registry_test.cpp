#include <gtest/gtest.h>

#include "graft/contract.h"
#include "graft/contracts.h"
#include "graft/error.h"

namespace graft {
namespace {

const graft_argument kArguments[] = {{"x", GRAFT_IN, 0, "T", "... H"}, {"out", GRAFT_OUT, 0, "T", "... H"}};

graft_contract make(const char* name) {
  return {sizeof(graft_contract), 16, name, kArguments, 2, 0, nullptr, nullptr, 0};
}

TEST(ContractRegistry, KnowsEveryStandardContract) {
  for (const graft_contract* contract : graft_standard_contracts) {
    const graft_contract* found = ContractRegistry::shared().find(contract->name);
    ASSERT_TRUE(found) << contract->name;
    EXPECT_EQ(found->argument_count, contract->argument_count);
    EXPECT_TRUE(ContractRegistry::shared().plan(contract->name));
  }
  EXPECT_EQ(ContractRegistry::shared().find("RMSNorm/99"), nullptr);
  EXPECT_EQ(ContractRegistry::shared().plan("RMSNorm"), nullptr);
}

TEST(ContractRegistry, TakesAHostsOwnContractOnce) {
  static const graft_contract mine = make("TestRegistryMine/1");
  static const graft_contract other = make("TestRegistryMine/1");
  ContractRegistry::shared().add(mine);
  ContractRegistry::shared().add(mine);
  EXPECT_EQ(ContractRegistry::shared().find("TestRegistryMine/1"), &mine);
  EXPECT_THROW(ContractRegistry::shared().add(other), Error);
  EXPECT_EQ(ContractRegistry::shared().find("TestRegistryMine/1"), &mine);
}

TEST(ContractRegistry, RefusesAMalformedContract) {
  static const graft_contract malformed = make("NoVersion");
  EXPECT_THROW(ContractRegistry::shared().add(malformed), Error);
}

}  // namespace
}  // namespace graft
