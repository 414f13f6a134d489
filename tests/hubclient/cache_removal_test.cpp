// Removing from the cache: what goes, what stays, and beside downloads.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "cache/file_lock.h"
#include "cache/repo_cache.h"
#include "graft/cache.h"
#include "hub_fixture.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::hours;

void make_older(const fs::path& file, hours age) {
  const timespec time{CacheTime::clock::to_time_t(CacheTime::clock::now() - age), 0}, times[] = {time, time};
  ASSERT_EQ(utimensat(AT_FDCWD, file.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
}

/// While it lives, files are another user's if this is root's process.
class AnotherUser {
 public:
  AnotherUser() {
    EXPECT_EQ(seteuid(me_ == 0 ? 65534 : me_), 0);
  }
  ~AnotherUser() { EXPECT_EQ(seteuid(me_), 0); }

 private:
  const uid_t me_ = geteuid();
};

class CacheRemovalTest : public HubTest {
 protected:
  CacheRemovalTest() {
    add(kNorm, kSide, "build/v/norm.so", kLibrary);  // the same blob as main's
    hub_ = open_hub(options());
  }
  CachedRepo scan(const RepoId& id) {
    for (CachedRepo& repo : scan_cache(options(), id.kind).repos)
      if (repo.id == id) return repo;
    return {.id = id, .folder = cached(id)};
  }
  std::string blob_of(const RepoId& id, const std::string& commit, const std::string& path) {
    return fs::read_symlink(cached(id) / "snapshots" / commit / path).filename();
  }
  bool is_there(const fs::path& path) { return fs::exists(fs::symlink_status(path)); }
  void expect_whole(const std::string& commit) {
    EXPECT_EQ(read_file(cached(kNorm) / "snapshots" / commit / "build/v/norm.so"), kLibrary);
  }

  std::shared_ptr<Hub> hub_;
};

TEST_F(CacheRemovalTest, TakesACommitsRefsAndTheBlobsThatNoOtherNeeds) {
  fetch(*hub_, kNorm, "main");
  fetch(*hub_, kNorm, "v1.0.0");
  fetch(*hub_, kNorm, "feature/x");
  RepoCache(options(), kNorm).remember_missing(kSide, "config.json");
  const std::string own = blob_of(kNorm, kSide, "README.md"),
                    shared = blob_of(kNorm, kSide, "build/v/norm.so");
  Removed removed = remove_commits(options(), scan(kNorm), {kSide});
  EXPECT_EQ(removed.bytes, 4u);
  EXPECT_EQ(removed.commits.size(), 1u);
  EXPECT_TRUE(removed.kept.empty());
  EXPECT_FALSE(is_there(cached(kNorm) / "blobs" / own));
  EXPECT_TRUE(is_there(cached(kNorm) / "blobs" / shared));
  for (const char* gone : {"refs/feature", "snapshots/", "trees/", ".no_exist/"}) {
    std::string path = gone;
    if (path == "trees/") path += kSide + ".json";
    if (path.ends_with('/')) path += kSide;
    EXPECT_FALSE(is_there(cached(kNorm) / path)) << path;
  }
  expect_whole(kMain);
  EXPECT_EQ(scan(kNorm).commits[0].refs.size(), 2u);
}

TEST_F(CacheRemovalTest, TakesTheReposFolderWithTheLastCommit) {
  fetch(*hub_, kNorm, "main");
  fetch(*hub_, kModel, "main");
  write_file(cached(kNorm) / "blobs" / (std::string(64, '1') + ".incomplete"), "half");
  CachedRepo norm = scan(kNorm);
  EXPECT_EQ(remove_commits(options(), norm, {kMain}).bytes, norm.bytes);
  EXPECT_FALSE(is_there(cached(kNorm)));
  EXPECT_TRUE(is_there(cached(kModel)));
  fetch(*hub_, kNorm, "main");
  expect_whole(kMain);
}

TEST_F(CacheRemovalTest, LeavesTheBlobOfADownloadThatGoesOn) {
  fetch(*hub_, kNorm, "main");
  const std::string blob = blob_of(kNorm, kMain, "README.md");
  Removed removed;
  {
    FileLock lock(RepoCache(options(), kNorm).lock(blob), {});
    removed = remove_commits(options(), scan(kNorm), {kMain});
  }
  EXPECT_TRUE(is_there(cached(kNorm) / "blobs" / blob));
  ASSERT_FALSE(removed.kept.empty());
  EXPECT_NE(removed.kept[0].find("a download is at it"), std::string::npos);
  CachedRepo left = scan(kNorm);
  EXPECT_TRUE(left.commits.empty());
  EXPECT_EQ(remove_leftovers(options(), left, hours(24)).leftovers, 1u);
  EXPECT_FALSE(is_there(cached(kNorm)));
}

TEST_F(CacheRemovalTest, LeavesABlobThatAnotherSnapshotGotAfterTheScan) {
  fetch(*hub_, kNorm, "main");
  CachedRepo before = scan(kNorm);
  fetch(*hub_, kNorm, "feature/x");
  remove_commits(options(), before, {kMain});
  expect_whole(kSide);
  EXPECT_EQ(scan(kNorm).commits.size(), 1u);
}

TEST_F(CacheRemovalTest, LeavesACommitAloneThatWasUsedAfterTheScan) {
  fetch(*hub_, kNorm, "main", "build/v");
  for (const auto& item : fs::recursive_directory_iterator(cached(kNorm))) make_older(item, hours(48));
  make_older(cached(kNorm) / "snapshots" / kMain, hours(48));
  CachedRepo before = scan(kNorm);
  fetch(*hub_, kNorm, "main");
  Removed removed = remove_commits(options(), before, {kMain}, {.stop = {}, .unless_used = true});
  EXPECT_TRUE(removed.commits.empty());
  EXPECT_EQ(removed.kept.size(), 1u);
  expect_whole(kMain);
  EXPECT_EQ(remove_commits(options(), scan(kNorm), {kMain}, {.stop = {}, .unless_used = true}).commits.size(),
            1u);
}

TEST_F(CacheRemovalTest, RemovesLinksAndNeverWhatTheyLeadTo) {
  fetch(*hub_, kNorm, "main");
  const fs::path outside = folder_.path() / "outside";
  write_file(outside / "mine", "mine");
  fs::create_symlink(outside / "mine", cached(kNorm) / "snapshots" / kMain / "mine");
  fs::create_symlink(outside, cached(kNorm) / "snapshots" / kMain / "folder");
  fs::create_symlink(outside / "mine", cached(kNorm) / "blobs" / std::string(64, 'e'));
  fs::create_symlink(outside, cached(kNorm) / "refs/outside");
  fs::create_symlink(outside, cached(kNorm) / ".no_exist");
  remove_commits(options(), scan(kNorm), {kMain});
  EXPECT_FALSE(is_there(cached(kNorm)));
  EXPECT_EQ(read_file(outside / "mine"), "mine");
}

TEST_F(CacheRemovalTest, RemovesNothingThroughAPartOfTheRepoThatIsALink) {
  fetch(*hub_, kNorm, "main");
  RepoCache(options(), kNorm).remember_missing(kMain, "config.json");
  const fs::path outside = folder_.path() / "outside";
  fs::create_directories(outside);
  for (const char* part : {"blobs", "trees", ".no_exist"}) {
    fs::rename(cached(kNorm) / part, outside / part);
    fs::create_symlink(outside / part, cached(kNorm) / part);
  }
  auto files = [&] {
    return std::distance(fs::recursive_directory_iterator(outside), fs::recursive_directory_iterator());
  };
  const auto before = files();
  remove_commits(options(), scan(kNorm), {kMain});
  EXPECT_EQ(files(), before);
  EXPECT_TRUE(scan(kNorm).commits.empty());
}

TEST_F(CacheRemovalTest, TakesCopiesWhereThereAreNoLinks) {
  HubOptions copies = options();
  copies.symlinks = false;
  auto hub = open_hub(copies);
  fetch(*hub, kNorm, "main");
  fetch(*hub, kNorm, "feature/x");
  remove_commits(copies, scan(kNorm), {kMain});
  expect_whole(kSide);
  EXPECT_EQ(bytes_on_disk({scan(kNorm)}), 4 + kLibrary.size());
  remove_commits(copies, scan(kNorm), {kSide});
  EXPECT_FALSE(is_there(cached(kNorm)));
}

TEST_F(CacheRemovalTest, TakesAnEntryOfTheSharedStoreWithTheLastBlobThatLeadsThere) {
  fetch(*hub_, kNorm, "main");
  fetch(*hub_, kModel, "main");
  const std::string hash(64, 'c');
  const fs::path shared = cache() / "blobs/cc" / hash;
  write_file(cache() / "blobs/.huggingface-shared-blobs", "1\n");
  write_file(shared, std::string(1000, 'x'));
  std::string references;
  for (const RepoId& id : {kNorm, kModel}) {
    fs::create_symlink("../../blobs/cc/" + hash, cached(id) / "blobs" / hash);
    fs::create_symlink("../../blobs/" + hash, cached(id) / "snapshots" / kMain / "shared");
    references += cached(id).filename().string() + "/blobs/" + hash + "\n";
  }
  write_file(shared.string() + ".refs", references);
  remove_commits(options(), scan(kModel), {kMain});
  EXPECT_TRUE(is_there(shared));
  EXPECT_GT(remove_commits(options(), scan(kNorm), {kMain}).bytes, 1000u);
  EXPECT_FALSE(is_there(shared));
  EXPECT_FALSE(is_there(shared.string() + ".refs"));
}

TEST_F(CacheRemovalTest, LeavesAnEntryOfTheSharedStoreWithoutAListOfReferences) {
  fetch(*hub_, kNorm, "main");
  const std::string hash(64, 'c');
  write_file(cache() / "blobs/.huggingface-shared-blobs", "1\n");
  write_file(cache() / "blobs/cc" / hash, "x");
  fs::create_symlink("../../blobs/cc/" + hash, cached(kNorm) / "blobs" / hash);
  fs::create_symlink("../../blobs/" + hash, cached(kNorm) / "snapshots" / kMain / "shared");
  remove_commits(options(), scan(kNorm), {kMain});
  EXPECT_FALSE(is_there(cached(kNorm)));
  EXPECT_TRUE(is_there(cache() / "blobs/cc" / hash));
}

TEST_F(CacheRemovalTest, RemovesNothingMoreOnceItIsStopped) {
  fetch(*hub_, kNorm, "main");
  std::stop_source stop;
  stop.request_stop();
  Removed removed = remove_commits(options(), scan(kNorm), {kMain}, {.stop = stop.get_token()});
  EXPECT_TRUE(removed.stopped);
  EXPECT_TRUE(removed.commits.empty());
  expect_whole(kMain);
}

TEST_F(CacheRemovalTest, SaysThatACacheCannotBeWrittenBeforeItRemovesAnything) {
  fetch(*hub_, kNorm, "main");
  CachedRepo norm = scan(kNorm);
  fs::permissions(folder_.path(), fs::perms(0755));
  fs::permissions(cached(kNorm), fs::perms(0555));
  {
    AnotherUser user;  // root may write everywhere
    try {
      remove_commits(options(), norm, {kMain});
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::io);
      EXPECT_NE(std::string(e.what()).find("--cache-dir"), std::string::npos) << e.what();
    }
  }
  fs::permissions(cached(kNorm), fs::perms(0755));
  expect_whole(kMain);
  EXPECT_EQ(scan(kNorm).commits[0].refs, std::vector<std::string>{"main"});
}

TEST_F(CacheRemovalTest, LeavesARepoWithoutCommitsWhereItsFolderCannotGo) {
  fetch(*hub_, kNorm, "main");
  CachedRepo norm = scan(kNorm);
  fs::permissions(folder_.path(), fs::perms(0755));
  for (const fs::path& top : {cached(kNorm), cache() / ".locks"}) {
    fs::permissions(top, fs::perms(0777));
    for (const auto& item : fs::recursive_directory_iterator(top))
      if (!item.is_symlink()) fs::permissions(item, fs::perms(0777));
  }
  fs::permissions(cache(), fs::perms(0555));
  Removed removed;
  {
    AnotherUser user;
    removed = remove_commits(options(), norm, {kMain});
  }
  fs::permissions(cache(), fs::perms(0755));
  EXPECT_EQ(removed.bytes, norm.bytes);
  ASSERT_EQ(removed.kept.size(), 1u);
  EXPECT_NE(removed.kept[0].find("the empty folder"), std::string::npos);
  EXPECT_TRUE(fs::is_directory(cached(kNorm) / "snapshots"));  // without which Python takes it for broken
}

TEST_F(CacheRemovalTest, TakesBrokenDownloadsThatAreOldAndNobodysAndBlobsThatNoCommitHas) {
  fetch(*hub_, kNorm, "main");
  const fs::path blobs = cached(kNorm) / "blobs";
  auto name = [](char digit) { return std::string(64, digit); };
  for (const std::string& file :
       {name('1') + ".incomplete", name('2') + ".1a2b3c4d.incomplete", name('3') + ".incomplete", name('5')})
    write_file(blobs / file, "half");
  for (char digit : {'1', '3'}) make_older(blobs / (name(digit) + ".incomplete"), hours(48));
  write_file(cached(kNorm) / ".graft-1a2b3c4d/x", "");
  make_older(cached(kNorm) / ".graft-1a2b3c4d", hours(48));
  FileLock lock(RepoCache(options(), kNorm).lock(name('3')), {});
  Removed removed = remove_leftovers(options(), scan(kNorm), hours(24));
  EXPECT_FALSE(is_there(blobs / (name('1') + ".incomplete")));
  EXPECT_TRUE(is_there(blobs / (name('2') + ".1a2b3c4d.incomplete")));  // may still be gone on with
  EXPECT_TRUE(is_there(blobs / (name('3') + ".incomplete")));           // somebody is at it
  EXPECT_FALSE(is_there(blobs / name('5')));
  EXPECT_FALSE(is_there(cached(kNorm) / ".graft-1a2b3c4d"));
  EXPECT_EQ(removed.leftovers, 3u);
  EXPECT_EQ(removed.bytes, 8u);
  EXPECT_EQ(removed.kept.size(), 1u);
  expect_whole(kMain);
}

TEST_F(CacheRemovalTest, TakesTheFolderOfARepoOfWhichABrokenDownloadIsAllThatIsThere) {
  const fs::path half = cached(kModel) / "blobs" / (std::string(64, '1') + ".incomplete");
  write_file(half, "half");
  EXPECT_EQ(remove_leftovers(options(), scan(kModel), hours(24)).leftovers, 0u);
  make_older(half, hours(48));
  EXPECT_EQ(remove_leftovers(options(), scan(kModel), hours(24)).leftovers, 1u);
  EXPECT_FALSE(is_there(cached(kModel)));
}

TEST_F(CacheRemovalTest, LeavesWhatADownloadAtTheSameTimeFetches) {
  for (int round = 0; round < 40; ++round) {
    fetch(*hub_, kNorm, kSide);
    CachedRepo before = scan(kNorm);
    std::jthread removal([&] { remove_commits(options(), before, {kSide}); });
    fetch(*hub_, kNorm, kMain);
    removal.join();
    expect_whole(kMain);
    remove_commits(options(), scan(kNorm), {kMain});
  }
  EXPECT_FALSE(is_there(cached(kNorm)));
}

TEST_F(CacheRemovalTest, LetsADownloadOfTheSameCommitEndWholeOrWithAnErrorThatASecondOneMends) {
  for (int round = 0; round < 40; ++round) {
    fetch(*hub_, kNorm, kMain);
    CachedRepo before = scan(kNorm);
    std::jthread removal([&] { remove_commits(options(), before, {kMain}); });
    try {
      fetch(*hub_, kNorm, kMain);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::io) << e.what();
    }
    removal.join();
    fetch(*hub_, kNorm, kMain);
    expect_whole(kMain);
    for (const auto& item : fs::recursive_directory_iterator(cached(kNorm) / "snapshots"))
      EXPECT_TRUE(fs::exists(item.path())) << item.path();  // no link to nothing
  }
}

}  // namespace
}  // namespace graft::test
