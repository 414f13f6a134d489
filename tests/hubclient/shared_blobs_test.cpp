// Blobs that huggingface_hub shares between repos. With Python's own functions: tests/interop.
#include "cache/shared_blobs.h"

#include "graft/hash.h"
#include "hub_fixture.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;

class SharedBlobsTest : public testing::Test {
 protected:
  SharedBlobsTest() {
    Hasher hasher("sha256");
    hasher.update(bytes_);
    file_ = {"model.safetensors", bytes_.size(), std::string(40, '1'), to_hex(hasher.finish()), std::string(64, 'c')};
    write_file(store() / ".huggingface-shared-blobs", "1\n");
    write_file(shared(), bytes_);
    fs::create_directories(blob().parent_path());
  }
  fs::path cache() const { return folder_.path(); }
  fs::path store() const { return cache() / "blobs"; }
  fs::path shared() const { return store() / "cc" / file_.xet_hash; }
  fs::path blob() const { return cache() / "models--org--m/blobs" / file_.sha256; }
  bool link() { return link_shared_blob(cache(), blob(), file_, {}); }

  TempFolder folder_;
  const std::string bytes_ = noise(1000);
  HubFile file_;
};

TEST_F(SharedBlobsTest, LinksABlobThatIsThereAndNotesTheReference) {
  ASSERT_TRUE(link());
  EXPECT_EQ(fs::read_symlink(blob()), "../../blobs/cc/" + file_.xet_hash);
  EXPECT_EQ(read_file(blob()), bytes_);
  EXPECT_EQ(read_file(shared().string() + ".refs"), "models--org--m/blobs/" + file_.sha256 + "\n");
}

TEST_F(SharedBlobsTest, LeavesAFolderAloneThatIsNoStore) {
  fs::remove(store() / ".huggingface-shared-blobs");
  EXPECT_FALSE(link());
  write_file(store() / ".huggingface-shared-blobs", "2\n");
  EXPECT_FALSE(link());
  EXPECT_FALSE(fs::exists(shared().string() + ".refs"));
}

TEST_F(SharedBlobsTest, RefusesABlobWhoseBytesAreOthers) {
  std::string other = bytes_;
  other[500] ^= 1;
  write_file(shared(), other);
  EXPECT_FALSE(link());
  write_file(shared(), "short");
  EXPECT_FALSE(link());
  fs::remove(shared());
  fs::create_symlink("/etc/hostname", shared());
  EXPECT_FALSE(link());
  EXPECT_FALSE(fs::exists(fs::symlink_status(blob())));
}

}  // namespace
}  // namespace graft::test
