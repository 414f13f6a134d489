// Packages are loaded side by side, and each reference still comes to what it names.
#include "mapped_kernels.h"

#include <gtest/gtest.h>

#include "fixtures.h"

namespace graft {
namespace {

using test::fixture;

std::string path(const std::string& name, const std::string& entry = "TestRMSNorm") {
  return fixture(name).string() + ":" + entry;
}

const std::string kAbsent = "/no/such/folder:TestRMSNorm";

MappedKernels machines_policy() {
  return MappedKernels(/*allow_all_kernels=*/false, nullptr);
}

TEST(MappedKernels, GivesEachReferenceWhatItNamesInTheOrderAsked) {
  std::vector<MappedKernels::Asked> asked;
  for (const std::string& reference :
       {path("good"), path("init_fails"), path("good_v2"), kAbsent, path("good", "NoSuchEntry"),
        path("other_major"), path("newer_minor"), path("good"), path("hostile_Crash"),
        std::string("no-such-org/no-such-repo:Entry")})
    asked.push_back({reference, "RMSNorm/1", c10::kCPU});
  MappedKernels kernels = machines_policy();
  const auto found = kernels.find(asked);
  ASSERT_EQ(found.size(), asked.size());
  for (size_t i = 0; i < found.size(); ++i) {
    SCOPED_TRACE(asked[i].reference);
    ASSERT_NE(found[i], nullptr);
    EXPECT_EQ(found[i]->reference, asked[i].reference);
    const bool good = i == 0 || i == 2 || i == 6 || i == 7;
    EXPECT_EQ(found[i]->kernel != nullptr, good) << (found[i]->error ? found[i]->error->what() : "");
    EXPECT_NE(found[i]->error.has_value(), good);
    if (good) {
      EXPECT_EQ(found[i]->kernel->repo + ":" + found[i]->kernel->entry->name, asked[i].reference);
    }
  }
  EXPECT_EQ(found[0], found[7]);  // the same for all layers
  EXPECT_NE(found[4]->error->mend().find("TestRMSNorm"), std::string::npos) << found[4]->error->what();
  EXPECT_EQ(found[9]->error->code(), ErrorCode::untrusted);
}

TEST(MappedKernels, FindsEachOnce) {
  MappedKernels kernels = machines_policy();
  const auto first = kernels.find({{path("good"), "", c10::kCPU}, {kAbsent, "", c10::kCPU}});
  const auto again = kernels.find({{kAbsent, "", c10::kCPU}, {path("good"), "", c10::kCPU}});
  EXPECT_EQ(first[0], again[1]);
  EXPECT_EQ(first[1], again[0]);
}

TEST(MappedKernels, TheContractChoosesWhereNoEntryIsNamed) {
  MappedKernels kernels = machines_policy();
  const std::string whole = "graft-kernels/norm";
  const auto found = kernels.find({{whole, "RMSNorm/1", c10::kCPU},
                                   {whole, "AddRMSNorm/1", c10::kCPU},
                                   {whole, "NoSuchLayer/1", c10::kCPU}});
  ASSERT_NE(found[0]->kernel, nullptr) << found[0]->error->what();
  ASSERT_NE(found[1]->kernel, nullptr) << found[1]->error->what();
  EXPECT_STREQ(found[0]->kernel->entry->name, "RMSNorm");
  EXPECT_STREQ(found[1]->kernel->entry->name, "AddRMSNorm");
  EXPECT_EQ(found[0]->kernel->plugin, found[1]->kernel->plugin);
  EXPECT_EQ(found[2]->kernel, nullptr);
  EXPECT_NE(found[2]->error->mend().find("append one of them"), std::string::npos) << found[2]->error->what();
}

}  // namespace
}  // namespace graft
