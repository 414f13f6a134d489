// Pages of a mapped file leave memory and come back as they were; pages that were written to stay.
#include "release_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace graft {
namespace {

class ReleasePages : public testing::Test {
 protected:
  static constexpr size_t kPages = 600;  // more than are looked at in one go

  ReleasePages() {
    char name[] = "/tmp/graft-release-XXXXXX";
    const int file = mkstemp(name);
    unlink(name);
    const std::string text(size(), 'w');
    EXPECT_EQ(write(file, text.data(), text.size()), ssize_t(text.size()));
    memory_ = static_cast<char*>(mmap(nullptr, size(), PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0));
    close(file);
    for (size_t page = 0; page < kPages; ++page) sum_ += memory_[page * page_size()];  // makes it resident
  }
  ~ReleasePages() override { munmap(memory_, size()); }

  static size_t page_size() { return size_t(sysconf(_SC_PAGESIZE)); }
  static size_t size() { return kPages * page_size(); }
  /// Pages of the process's memory that are a file's.
  static long file_pages() {
    long total = 0, resident = 0, shared = 0;
    FILE* file = std::fopen("/proc/self/statm", "r");
    EXPECT_EQ(std::fscanf(file, "%ld %ld %ld", &total, &resident, &shared), 3);
    std::fclose(file);
    return shared;
  }
  char* memory_ = nullptr;
  long sum_ = 0;
};

TEST_F(ReleasePages, AFilesPagesLeaveAndComeBackAsTheyWere) {
  const long before = file_pages();
  release_file_pages(memory_, size());
  EXPECT_LE(file_pages(), before - long(kPages) / 2);
  for (size_t i = 0; i < size(); ++i) ASSERT_EQ(memory_[i], 'w') << i;
}

TEST_F(ReleasePages, WhatWasWrittenStays) {
  for (size_t page : {size_t{0}, size_t{7}, size_t{511}, size_t{512}, kPages - 1}) memory_[page * page_size() + 5] = 'x';
  release_file_pages(memory_, size());
  for (size_t page = 0; page < kPages; ++page) {
    const bool written = page == 0 || page == 7 || page == 511 || page == 512 || page == kPages - 1;
    ASSERT_EQ(memory_[page * page_size() + 5], written ? 'x' : 'w') << page;
  }
}

TEST_F(ReleasePages, PagesThatReachBeyondTheRangeStay) {
  release_file_pages(memory_, size());
  const char first = memory_[10];
  const long before = file_pages();
  release_file_pages(memory_ + 1, page_size() - 2);
  release_file_pages(memory_ + 10, 0);
  EXPECT_GE(file_pages(), before);
  EXPECT_EQ(first, 'w');
}

TEST_F(ReleasePages, MemoryOfNoFileStays) {
  std::vector<char> heap(size(), 'h');
  release_file_pages(heap.data(), heap.size());
  EXPECT_EQ(heap, std::vector<char>(size(), 'h'));
}

}  // namespace
}  // namespace graft
