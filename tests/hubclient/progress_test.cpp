#include "graft/progress.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace graft {
namespace {

const Progress kHalf{.label = "org/norm", .bytes = 12'345'678, .total_bytes = 24'691'356, .files = 2, .total_files = 5};

TEST(Progress, ShowsShareSizeFilesSpeedAndTimeLeft) {
  EXPECT_EQ(render_progress(kHalf, 1'500'000, 200),
            "org/norm  ██████████·········· 50 %  12.3 MB of 24.7 MB  2/5 files  1.5 MB/s  8 s left");
}

TEST(Progress, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(render_progress({.label = "m", .total_bytes = 5'000, .total_files = 1}, 0, 200),
            "m  ···················· 0 %  0.0 kB of 5.0 kB");
}

TEST(Progress, FitsIntoTheTerminal) {
  for (std::size_t columns : {10u, 40u, 60u, 80u, 200u}) {
    std::string line = render_progress(kHalf, 1'500'000, columns);
    std::size_t cells = 0;
    for (unsigned char c : line) cells += (c & 0xc0) != 0x80;
    EXPECT_LE(cells, columns) << line;
  }
  EXPECT_EQ(render_progress(kHalf, 0, 60), "org/norm 50 %  12.3 MB of 24.7 MB  2/5 files");
}

TEST(Progress, TellsLongTimesInMinutesAndHours) {
  Progress slow{.label = "m", .total_bytes = 7'200'000, .total_files = 1};
  EXPECT_NE(render_progress(slow, 1'000, 200).find("2:00 h left"), std::string::npos);
  EXPECT_NE(render_progress(slow, 100'000, 200).find("1:12 min left"), std::string::npos);
}

TEST(Progress, ABarShowsFetchesThatGoOnAtOnceAsOneSum) {
  const ProgressCallback bar = terminal_progress();
  const auto told = [&](const Progress& progress) {
    ::testing::internal::CaptureStderr();
    bar(progress);
    return ::testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(told({.label = "org/norm", .bytes = 1'000, .total_bytes = 4'000, .total_files = 1}), "");
  std::this_thread::sleep_for(std::chrono::milliseconds(600));  // less is not worth a bar
  std::string line = told({.label = "org/mlp", .bytes = 2'000, .total_bytes = 6'000, .total_files = 1});
  EXPECT_NE(line.find("org/mlp and 1 more"), std::string::npos) << line;
  EXPECT_NE(line.find("3.0 kB of 10.0 kB  0/2 files"), std::string::npos) << line;
  line = told(
      {.label = "org/mlp", .bytes = 6'000, .total_bytes = 6'000, .files = 1, .total_files = 1, .done = true});
  EXPECT_NE(line.find("org/norm "), std::string::npos) << line;
  EXPECT_NE(line.find("7.0 kB of 10.0 kB  1/2 files"), std::string::npos) << line;
  EXPECT_EQ(told({.label = "org/norm", .bytes = 4'000, .total_bytes = 4'000, .done = true}), "\r\033[K");
  EXPECT_EQ(told({.label = "org/next", .bytes = 1'000, .total_bytes = 4'000}), "");  // a bar of its own
}

}  // namespace
}  // namespace graft
