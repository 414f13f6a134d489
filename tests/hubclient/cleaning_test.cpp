// Which commits a cleaning chooses.
#include <gtest/gtest.h>

#include "graft/cache.h"

namespace graft::test {
namespace {

using std::chrono::hours;

const CacheTime kNow = CacheTime::clock::from_time_t(1'700'000'000);

CachedCommit commit(char name, hours unused, std::vector<DiskFile> disk, hours since_fetched = hours(1000)) {
  CachedCommit commit{.commit = std::string(40, name)};
  for (const DiskFile& file : disk) commit.files.push_back({"f", "blob", file});
  commit.last_used = kNow - unused;
  commit.fetched = kNow - since_fetched;
  return commit;
}

/// "abc": the commits by their first letters.
std::string names(const std::vector<CommitId>& commits) {
  std::string text;
  for (const CommitId& id : commits) text += id.commit[0];
  return text;
}

// a and b share 100 bytes; each has 10 of its own, c 50.
std::vector<CachedRepo> repos() {
  CachedRepo one{.id = {RepoKind::kernel, "org/one"}, .folder = {}},
      two{.id = {RepoKind::model, "org/two"}, .folder = {}};
  one.commits = {commit('a', hours(30), {{1, 1, 100}, {1, 2, 10}}),
                 commit('b', hours(10), {{1, 1, 100}, {1, 3, 10}})};
  two.commits = {commit('c', hours(20), {{1, 4, 50}})};
  return {one, two};
}

TEST(Cleaning, RemovesTheLeastRecentlyUsedUntilTheRestFits) {
  CleaningPlan plan = plan_cleaning(repos(), {.max_bytes = 170, .max_age = {}, .in_use = {}}, kNow);
  EXPECT_EQ(names(plan.remove), "");
  plan = plan_cleaning(repos(), {.max_bytes = 169, .max_age = {}, .in_use = {}}, kNow);
  EXPECT_EQ(names(plan.remove), "a");
  EXPECT_EQ(plan.bytes_after, 160u);
  plan = plan_cleaning(repos(), {.max_bytes = 159, .max_age = {}, .in_use = {}}, kNow);
  EXPECT_EQ(names(plan.remove), "ac");
  EXPECT_EQ(plan.bytes_after, 110u);
  EXPECT_EQ(names(plan_cleaning(repos(), {.max_bytes = 0, .max_age = {}, .in_use = {}}, kNow).remove), "acb");
}

TEST(Cleaning, RemovesWhatWasNotUsedForTooLong) {
  EXPECT_EQ(names(plan_cleaning(repos(), {.max_bytes = {}, .max_age = hours(15), .in_use = {}}, kNow).remove),
            "ac");
  EXPECT_EQ(names(plan_cleaning(repos(), {.max_bytes = {}, .max_age = hours(30), .in_use = {}}, kNow).remove),
            "");
  EXPECT_EQ(
      names(plan_cleaning(repos(), {.max_bytes = 120, .max_age = hours(25), .in_use = {}}, kNow).remove),
      "ac");
}

TEST(Cleaning, NeverRemovesWhatIsInUse) {
  CleaningRules rules{
      .max_bytes = 0, .max_age = {}, .in_use = [](const CommitId& id) { return id.commit[0] == 'a'; }};
  CleaningPlan plan = plan_cleaning(repos(), rules, kNow);
  EXPECT_EQ(names(plan.remove), "cb");
  EXPECT_EQ(names(plan.in_use), "a");
  EXPECT_EQ(plan.bytes_after, 110u);
}

TEST(Cleaning, LeavesWhatCameJustNow) {
  std::vector<CachedRepo> all = repos();
  all[1].commits[0].fetched = kNow - std::chrono::minutes(59);
  CleaningPlan plan = plan_cleaning(all, {.max_bytes = 0, .max_age = {}, .in_use = {}}, kNow);
  EXPECT_EQ(names(plan.remove), "ab");
  EXPECT_EQ(names(plan.young), "c");
  plan = plan_cleaning(all, {.max_bytes = 0, .max_age = {}, .min_age = std::chrono::seconds(0), .in_use = {}},
                       kNow);
  EXPECT_EQ(names(plan.remove), "acb");
}

TEST(Cleaning, RemovesNothingWithoutALimit) {
  CleaningPlan plan = plan_cleaning(repos(), {}, kNow);
  EXPECT_TRUE(plan.remove.empty() && plan.in_use.empty() && plan.young.empty());
  EXPECT_EQ(plan.bytes_after, 170u);
}

}  // namespace
}  // namespace graft::test
