#include "graft/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixtures.h"
#include "graft/error.h"
#include "graft/pack.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using State = VariantCheck::State;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Check : public testing::Test {
 protected:
  // A repo's variant as an author's build leaves it.
  fs::path add(const std::string& variant, const std::string& fixture) {
    const fs::path folder = repo() / "build" / variant;
    fs::create_directories(folder);
    fs::copy_file(test::fixture(fixture), folder / "norm.so", fs::copy_options::overwrite_existing);
    return folder;
  }
  fs::path repo() const { return folder_.path() / "repo"; }

  VariantCheck only(const fs::path& path, const CheckOptions& options = {}) {
    const RepoCheck result = check_repo(path, options);
    EXPECT_EQ(result.variants.size(), 1u);
    EXPECT_EQ(result.passed(), result.variants.front().state != State::failed);
    return result.variants.front();
  }
  VariantCheck refused(const std::string& variant, const std::string& fixture) {
    add(variant, fixture);
    VariantCheck check = only(repo());
    EXPECT_EQ(check.state, State::failed);
    EXPECT_THAT(check.entries, IsEmpty());
    return check;
  }

  test::TempFolder folder_;

 private:
  test::TempFolder states_;
  test::ScopedEnv state_{"GRAFT_STATE_DIR", states_.path().c_str()};
};

TEST_F(Check, ReadsTheEntriesOfEveryVariantThatThisMachineLoads) {
  add(test::host_variant(), "good");
  add("graft1-cu130-x86_64-linux", "cuda_entry");
  const RepoCheck result = check_repo(repo());
  EXPECT_TRUE(result.passed());
  ASSERT_EQ(result.variants.size(), 2u);
  for (const VariantCheck& check : result.variants) {
    EXPECT_EQ(check.state, State::passed) << check.variant;
    ASSERT_EQ(check.entries.size(), 1u) << check.variant;
    EXPECT_STREQ(check.entries.front()->name, "TestRMSNorm");
    EXPECT_THAT(check.notes, Contains(HasSubstr("no digests yet: graft pack")));
  }
}

TEST_F(Check, TakesAVariantsFolderAndALibraryAlone) {
  const fs::path folder = add(test::host_variant(), "good");
  EXPECT_EQ(only(folder).variant, test::host_variant());
  const VariantCheck library = only(folder / "norm.so");
  EXPECT_EQ(library.variant, "");
  EXPECT_EQ(library.state, State::passed);
  EXPECT_THAT(library.notes, IsEmpty());
  EXPECT_EQ(only(test::fixture("cuda_entry"), {.device = "cuda"}).state, State::passed);
}

TEST_F(Check, HoldsWhatWasPackedAgainstItsDigests) {
  test::TestHub hub;
  const fs::path variant = hub.add("me/norm", "v1.0.0", test::fixture("good"));
  const fs::path commit = variant.parent_path().parent_path();
  const VariantCheck packed = only(commit);
  EXPECT_EQ(packed.state, State::passed);
  EXPECT_THAT(packed.notes, IsEmpty());

  fs::permissions(variant, fs::perms::owner_all);
  test::write_file(variant / "notes.txt", "put there later");
  const VariantCheck changed = only(commit);
  EXPECT_EQ(changed.state, State::failed);
  EXPECT_THAT(changed.problems, ElementsAre(HasSubstr("notes.txt")));
}

TEST_F(Check, RefusesAnEntryForAnotherDevice) {
  add(test::host_variant(), "cuda_entry");
  const VariantCheck check = only(repo());
  EXPECT_EQ(check.state, State::failed);
  EXPECT_THAT(check.problems, ElementsAre(HasSubstr("entry TestRMSNorm is for another device than cpu")));
}

TEST_F(Check, SaysWhatTheLoaderWouldRefuse) {
  EXPECT_THAT(refused(test::host_variant(), "missing_library").problems, ElementsAre(HasSubstr("libfixture_absent.so")));
  EXPECT_THAT(refused(test::host_variant(), "missing_symbol").problems, ElementsAre(HasSubstr("graft_plugin_entry")));
  EXPECT_THAT(refused(test::host_variant(), "other_major").problems, ElementsAre(HasSubstr("plugin ABI 2")));
  EXPECT_THAT(refused(test::host_variant(), "init_fails").problems, ElementsAre(HasSubstr("init returned GRAFT_FAILED")));
  EXPECT_THAT(refused(test::host_variant(), "no_entries").problems, ElementsAre(HasSubstr("has no entries")));
}

TEST_F(Check, ACrashStaysInAProcessOfItsOwnAndQuarantinesNothing) {
  const VariantCheck check = refused(test::host_variant(), "hostile_Crash");
  EXPECT_THAT(check.problems, ElementsAre(HasSubstr("graft-probe: ")));
  EXPECT_FALSE(fs::exists(fs::path(std::getenv("GRAFT_STATE_DIR")) / "quarantine.json"));
}

TEST_F(Check, RefusesNamesThatNoVariantHas) {
  EXPECT_THAT(refused("my-build", "good").problems, ElementsAre(HasSubstr("no variant's name")));
  fs::remove_all(repo());
  EXPECT_THAT(refused("graft2-cpu-x86_64-linux", "good").problems, ElementsAre(HasSubstr("plugin ABI 2")));
}

TEST_F(Check, SkipsWithAReasonWhatThisMachineCannotLoad) {
  add("graft1-cpu-riscv64-linux", "good");
  add("graft1-rocm64-x86_64-linux", "needs_hip");
  add("torch211-cxx11-cu130-x86_64-linux", "good");
  const RepoCheck result = check_repo(repo());
  EXPECT_TRUE(result.passed());
  ASSERT_EQ(result.variants.size(), 3u);
  for (const VariantCheck& check : result.variants) EXPECT_EQ(check.state, State::skipped) << check.variant;
  EXPECT_THAT(result.variants[0].notes, ElementsAre(HasSubstr("it is for riscv64")));
  EXPECT_THAT(result.variants[1].notes, Contains(HasSubstr("libamdhip64.so.99 is not on this machine")));
  EXPECT_THAT(result.variants[2].notes, ElementsAre(HasSubstr("a kernel for Python")));
}

TEST_F(Check, NotesContractsThatAreTheHostsOwnAndEntriesThatOtherVariantsHave) {
  add(test::host_variant(), "wrong_contract");
  add("graft1-cu130-x86_64-linux", "cuda_entry");
  EXPECT_THAT(check_repo(repo()).variants[0].notes, Contains(HasSubstr("NoSuchLayer/1, which a host has to register")));
  add(test::host_variant(), "naive_layers");
  const RepoCheck result = check_repo(repo());
  EXPECT_THAT(result.variants[1].notes, Contains(HasSubstr("other variants have entries that it lacks")));
}

TEST_F(Check, ThrowsWhereThereIsNothingToLookAt) {
  EXPECT_THROW(check_repo(folder_.path() / "missing"), Error);
  fs::create_directories(repo() / "build");
  EXPECT_THROW(check_repo(repo()), Error);
  fs::create_directories(repo() / "build" / test::host_variant());
  EXPECT_THAT(only(repo()).problems, ElementsAre(HasSubstr("has no .so")));
}

}  // namespace
}  // namespace graft
