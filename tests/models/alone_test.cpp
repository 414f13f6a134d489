#include "alone.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <thread>

namespace graft {
namespace {

TEST(Alone, TorchComputesOnOneThreadUntilItEnds) {
  at::set_num_threads(3);
  {
    const Alone alone(true);
    EXPECT_EQ(at::get_num_threads(), 1);
    {
      const Alone within(true);
      EXPECT_EQ(at::get_num_threads(), 1);
    }
    EXPECT_EQ(at::get_num_threads(), 1);
  }
  EXPECT_EQ(at::get_num_threads(), 3);
}

TEST(Alone, HoldsOnAThreadThatHasNotUsedTorchYet) {
  at::set_num_threads(3);
  std::thread([] {
    {
      const Alone alone(true);
      EXPECT_EQ(at::get_num_threads(), 1);
    }
    EXPECT_EQ(at::get_num_threads(), 3);
  }).join();
}

TEST(Alone, LeavesTorchAsItIsWhereItIsNotWanted) {
  at::set_num_threads(3);
  const Alone alone(false);
  EXPECT_EQ(at::get_num_threads(), 3);
}

}  // namespace
}  // namespace graft
