#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <numeric>

#include "graft/safetensors.h"
#include "support.h"

namespace graft {
namespace {

using testing::TemporaryFolder;
using testing::throws_error;
using Tensors = std::vector<std::pair<std::string, TensorView>>;

TensorView view(SafetensorsDType dtype, std::vector<std::int64_t> shape, const std::string& bytes) {
  return {dtype, std::move(shape), reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()};
}

std::size_t files_in(const TemporaryFolder& folder) {
  const std::filesystem::directory_iterator begin(folder.path()), end;
  return static_cast<std::size_t>(std::distance(begin, end));
}

TEST(SaveSafetensors, WhatWasSavedIsReadBackAligned) {
  TemporaryFolder folder;
  const std::string bytes = "abcdefghijklmnop";
  const std::string three = "xyz";
  const Tensors tensors{{"odd \"name\"\n", view(SafetensorsDType::U8, {3}, three)},
                        {"double", view(SafetensorsDType::F64, {2, 1}, bytes)},
                        {"half", view(SafetensorsDType::F16, {8}, bytes)},
                        {"empty", view(SafetensorsDType::F32, {0}, "")}};
  save_safetensors(folder / "m.safetensors", tensors, {{"format", "pt"}});
  const auto file = SafetensorsFile::open(folder / "m.safetensors");
  EXPECT_EQ(file->metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  ASSERT_EQ(file->names().size(), tensors.size());
  for (const auto& [name, saved] : tensors) {
    const TensorView& read = file->tensor(name);
    EXPECT_EQ(read.dtype, saved.dtype);
    EXPECT_EQ(read.shape, saved.shape);
    EXPECT_TRUE(read.aligned());
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(read.data), read.bytes),
              std::string(reinterpret_cast<const char*>(saved.data), saved.bytes));
  }
  EXPECT_EQ(files_in(folder), 1u);
}

TEST(SaveSafetensors, TensorsThatContradictThemselvesAreRefusedBeforeAnythingIsWritten) {
  TemporaryFolder folder;
  const std::string bytes = "abcd";
  const auto refuses = [&](const Tensors& tensors, const std::string& part) {
    return throws_error(ErrorCode::invalid_argument, part, [&] { save_safetensors(folder / "m", tensors); });
  };
  EXPECT_TRUE(refuses({{"t", view(SafetensorsDType::F32, {2}, bytes)}}, "4 bytes"));
  EXPECT_TRUE(refuses({{"t", view(SafetensorsDType::F32, {-1}, bytes)}}, "4 bytes"));
  EXPECT_TRUE(refuses({{"t", {SafetensorsDType::F32, {1}, nullptr, 4}}}, "no data"));
  EXPECT_TRUE(refuses({{"__metadata__", view(SafetensorsDType::F32, {1}, bytes)}}, "format's own"));
  EXPECT_TRUE(
      refuses({{"t", view(SafetensorsDType::F32, {1}, bytes)}, {"t", view(SafetensorsDType::U8, {4}, bytes)}},
              "twice"));
  EXPECT_TRUE(refuses({{"\xff", view(SafetensorsDType::F32, {1}, bytes)}}, "UTF-8"));
  EXPECT_EQ(files_in(folder), 0u);
}

TEST(SaveSafetensors, AFolderThatIsNotThereIsNamed) {
  TemporaryFolder folder;
  EXPECT_TRUE(
      throws_error(ErrorCode::io, "absent", [&] { save_safetensors(folder / "absent/m.safetensors", {}); }));
}

TEST(SaveSafetensors, WhenTheDiskIsFullTheOldFileStaysAndNoRestIsLeft) {
  TemporaryFolder folder;
  const auto path = folder / "m.safetensors";
  const std::string old(100, 'o'), large(1 << 20, 'n');
  save_safetensors(path, Tensors{{"t", view(SafetensorsDType::U8, {100}, old)}});

  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {  // a file size limit is the same to a writer as a full disk
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 16, 1 << 16};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const bool refused = bool(throws_error(ErrorCode::io, "cannot be written", [&] {
      save_safetensors(path, Tensors{{"t", view(SafetensorsDType::U8, {1 << 20}, large)}});
    }));
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(SafetensorsFile::open(path)->tensor("t").bytes, old.size());
  EXPECT_EQ(files_in(folder), 1u);
}

TEST(SaveSafetensors, AProcessKilledWhileSavingLeavesTheOldFileOrTheNewOne) {
  TemporaryFolder folder;
  const auto path = folder / "m.safetensors";
  const std::string first(1 << 20, 'a'), second(1 << 20, 'b');
  save_safetensors(path, Tensors{{"t", view(SafetensorsDType::U8, {1 << 20}, first)}});
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (;;) {
        for (const std::string* content : {&second, &first}) {
          save_safetensors(path, Tensors{{"t", view(SafetensorsDType::U8, {1 << 20}, *content)}});
        }
      }
    }
    ::usleep(static_cast<useconds_t>(500 + 700 * round));
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    const auto file = SafetensorsFile::open(path);
    const TensorView& read = file->tensor("t");
    ASSERT_EQ(read.bytes, first.size());
    EXPECT_TRUE(std::memcmp(read.data, first.data(), read.bytes) == 0 ||
                std::memcmp(read.data, second.data(), read.bytes) == 0);
  }
}

}  // namespace
}  // namespace graft
