// What the cache holds: sizes, refs and times, and who has its files mapped.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "graft/cache.h"
#include "hub_fixture.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::hours;

void set_times(const fs::path& file, CacheTime read, CacheTime written) {
  auto spec = [](CacheTime time) { return timespec{CacheTime::clock::to_time_t(time), 0}; };
  const timespec times[] = {spec(read), spec(written)};
  ASSERT_EQ(utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
}

class CacheScanTest : public HubTest {
 protected:
  CachedRepo scan(const RepoId& id) {
    for (CachedRepo& repo : scan_cache(options(), id.kind).repos)
      if (repo.id == id) return repo;
    ADD_FAILURE() << id.name << " is not in the cache";
    return {};
  }
  const CachedCommit& at(const CachedRepo& repo, const std::string& commit) {
    return *std::find_if(repo.commits.begin(), repo.commits.end(),
                         [&](const CachedCommit& each) { return each.commit == commit; });
  }
};

TEST_F(CacheScanTest, IsEmptyWhereThereIsNoCache) {
  EXPECT_TRUE(scan_cache(options(), RepoKind::kernel).repos.empty());
  fs::create_directories(cache());
  EXPECT_TRUE(scan_cache(options(), RepoKind::kernel).repos.empty());
}

TEST_F(CacheScanTest, SeesEachKindsReposWithTheirCommitsAndRefs) {
  auto hub = open_hub(options());
  fetch(*hub, kNorm, "main");
  fetch(*hub, kNorm, "v1.0.0");
  fetch(*hub, kNorm, "feature/x");
  fetch(*hub, kModel, "main");
  CachedRepo norm = scan(kNorm);
  ASSERT_EQ(norm.commits.size(), 2u);
  EXPECT_EQ(at(norm, kMain).refs, (std::vector<std::string>{"main", "v1.0.0"}));
  EXPECT_EQ(at(norm, kSide).refs, std::vector<std::string>{"feature/x"});
  EXPECT_EQ(at(norm, kMain).files.size(), 4u);
  EXPECT_EQ(at(norm, kMain).files[0].path, "README.md");
  EXPECT_TRUE(norm.leftovers.empty());
  ASSERT_EQ(scan_cache(options(), RepoKind::model).repos.size(), 1u);
}

TEST_F(CacheScanTest, CountsABlobThatCommitsShareOnce) {
  add(kNorm, kSide, "build/v/norm.so", kLibrary);
  auto hub = open_hub(options());
  fetch(*hub, kNorm, "main");
  fetch(*hub, kNorm, "feature/x");
  CachedRepo norm = scan(kNorm);
  const std::uint64_t main = kText.size() + kLibrary.size() + 2 + std::string("another variant").size();
  EXPECT_EQ(at(norm, kMain).bytes, main);
  EXPECT_EQ(at(norm, kSide).bytes, 4 + kLibrary.size());
  EXPECT_EQ(norm.bytes, main + 4);
  EXPECT_EQ(bytes_on_disk({norm}), main + 4);
  EXPECT_EQ(bytes_freed({norm}, {{kNorm, kSide}}), 4u);
  EXPECT_EQ(bytes_freed({norm}, {{kNorm, kSide}, {kNorm, kMain}}), main + 4);
}

TEST_F(CacheScanTest, CountsCopiesWhereThereAreNoLinks) {
  HubOptions copies = options();
  copies.symlinks = false;
  fetch(*open_hub(copies), kNorm, "main");
  CachedRepo norm = scan(kNorm);
  EXPECT_EQ(norm.bytes, at(norm, kMain).bytes);  // a second name of a blob is no second blob
}

TEST_F(CacheScanTest, CountsABlobOfTheSharedStoreInEachRepoAndOnceInAll) {
  auto hub = open_hub(options());
  fetch(*hub, kNorm, "main", "build/v");
  fetch(*hub, kModel, "main");
  CachedRepo norm = scan(kNorm), model = scan(kModel);
  const std::string hash(64, 'c');
  const fs::path shared = cache() / "blobs/cc" / hash;
  write_file(shared, std::string(1000, 'x'));
  for (const auto& [id, commit] : {std::pair{kNorm, kMain}, std::pair{kModel, kMain}}) {
    fs::create_symlink("../../blobs/cc/" + hash, cached(id) / "blobs" / hash);
    fs::create_symlink("../../blobs/" + hash, cached(id) / "snapshots" / commit / "shared");
  }
  EXPECT_EQ(scan(kNorm).bytes, norm.bytes + 1000);
  EXPECT_EQ(scan(kModel).bytes, model.bytes + 1000);
  EXPECT_EQ(bytes_on_disk({scan(kNorm), scan(kModel)}), norm.bytes + model.bytes + 1000);
}

TEST_F(CacheScanTest, TakesTheNewestAccessForTheLastUse) {
  fetch(*open_hub(options()), kNorm, "main", "build/v");
  const CacheTime now = CacheTime::clock::from_time_t(1'700'000'000);
  for (const auto& blob : fs::directory_iterator(cached(kNorm) / "blobs"))
    set_times(blob, now - hours(50), now - hours(60));
  EXPECT_EQ(scan(kNorm).commits[0].last_used, now - hours(50));
  set_times(fs::canonical(cached(kNorm) / "snapshots" / kMain / "build/v/norm.so"), now - hours(2),
            now - hours(60));
  EXPECT_EQ(scan(kNorm).commits[0].last_used, now - hours(2));
  // Where access is not kept, it stays behind the bytes' own time.
  set_times(fs::canonical(cached(kNorm) / "snapshots" / kMain / "build/v/norm.so"), now - hours(90),
            now - hours(1));
  EXPECT_EQ(scan(kNorm).commits[0].last_used, now - hours(1));
}

TEST_F(CacheScanTest, FollowsNoLinkOutOfTheCache) {
  fetch(*open_hub(options()), kNorm, "main", "build/v");
  const std::uint64_t bytes = scan(kNorm).bytes;
  const fs::path outside = folder_.path() / "outside";
  write_file(outside / "secret", std::string(10'000, 's'));
  fs::create_symlink(outside / "secret", cached(kNorm) / "snapshots" / kMain / "secret");
  fs::create_symlink(outside, cached(kNorm) / "snapshots" / kMain / "folder");
  fs::create_symlink(outside, cached(kNorm) / "snapshots" / kSide);
  fs::create_symlink(outside / "secret", cached(kNorm) / "blobs" / std::string(64, 'e'));
  fs::create_symlink(outside, cache() / "kernels--else--where");
  CacheContents contents = scan_cache(options(), RepoKind::kernel);
  ASSERT_EQ(contents.repos.size(), 1u);
  EXPECT_EQ(contents.repos[0].bytes, bytes);
  EXPECT_EQ(contents.repos[0].commits.size(), 1u);
  ASSERT_EQ(contents.notes.size(), 1u);
  EXPECT_NE(contents.notes[0].find("kernels--else--where"), std::string::npos);
}

TEST_F(CacheScanTest, FindsWhatNoCommitNeeds) {
  fetch(*open_hub(options()), kNorm, "main", "build/v");
  const std::string one(40, '1'), two(64, '2'), three(64, '3');
  write_file(cached(kNorm) / "blobs" / (one + ".1a2b3c4d.incomplete"), "half");
  write_file(cached(kNorm) / "blobs" / (two + ".incomplete"), "half");
  write_file(cached(kNorm) / "blobs" / three, "whole");
  write_file(cached(kNorm) / ".graft-1a2b3c4d/x", "");
  std::vector<std::pair<std::string, bool>> found;
  for (const Leftover& leftover : scan(kNorm).leftovers)
    found.emplace_back(leftover.blob, leftover.unfinished);
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, (std::vector<std::pair<std::string, bool>>{
                       {"", true}, {one, true}, {two, true}, {three, false}}));
}

TEST_F(CacheScanTest, LeavesOtherFoldersAlone) {
  for (const char* name :
       {"models--gpt2", "datasets--a--b", "kernels--", "kernels--.x--y", "blobs", ".locks"})
    fs::create_directories(cache() / name / "snapshots");
  write_file(cache() / "kernels--a--b", "a file");
  CacheContents kernels = scan_cache(options(), RepoKind::kernel),
                models = scan_cache(options(), RepoKind::model);
  EXPECT_TRUE(kernels.repos.empty());
  EXPECT_TRUE(models.repos.empty());
  EXPECT_EQ(kernels.notes.size(), 2u);
}

TEST_F(CacheScanTest, SaysWhoHasAFileMapped) {
  fetch(*open_hub(options()), kNorm, "main", "build/v");
  EXPECT_TRUE(mapped_blobs(cache()).empty());
  EXPECT_TRUE(mapped_blobs(cache() / "nowhere").empty());
  const fs::path file = cached(kNorm) / "snapshots" / kMain / "build/v/norm.so";
  int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  void* bytes = mmap(nullptr, kLibrary.size(), PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  ASSERT_NE(bytes, MAP_FAILED);
  std::vector<MappedBlob> mapped = mapped_blobs(cache());
  munmap(bytes, kLibrary.size());
  ASSERT_EQ(mapped.size(), 1u);
  EXPECT_EQ(mapped[0].pid, getpid());
  EXPECT_EQ(mapped[0].program.substr(0, 9), "hubclient");
  const CachedRepo norm = scan(kNorm);
  EXPECT_TRUE(std::any_of(norm.commits[0].files.begin(), norm.commits[0].files.end(),
                          [&](const CachedFile& each) { return each.disk == mapped[0].disk; }));
}

}  // namespace
}  // namespace graft::test
