// What the C++ layer makes of a host's services, of which a host may lack any.
#include <gtest/gtest.h>

#include <cstring>
#include <graft/cxx/host.hpp>
#include <utility>
#include <vector>

namespace graft::plugin {
namespace {

using Ranges = std::vector<std::pair<int64_t, int64_t>>;

Ranges ranges(int64_t count, int64_t grain) {
  Ranges seen;
  parallel_for(count, grain, [&](int64_t begin, int64_t end, uint32_t) { seen.emplace_back(begin, end); });
  return seen;
}

const graft_host_parallel_for kHalves = {
    sizeof(graft_host_parallel_for), [](const graft_host*) { return uint32_t{2}; },
    [](const graft_host*, int64_t count, int64_t, graft_parallel_body body, void* data) {
      body(data, 0, count / 2, 0);
      body(data, count / 2, count, 1);
    }};

class HostServices : public testing::Test {
 protected:
  ~HostServices() override { remember_host(nullptr); }
  void lend(const void* (*get_extension)(const graft_host*, const char*)) {
    host_ = {sizeof(graft_host), GRAFT_ABI_MAJOR, GRAFT_ABI_MINOR, "test", "1", nullptr, get_extension};
    remember_host(&host_);
  }

 private:
  graft_host host_{};
};

TEST_F(HostServices, ParallelForRunsOnTheHostsThreads) {
  lend([](const graft_host*, const char* id) -> const void* {
    return std::strcmp(id, GRAFT_EXT_PARALLEL_FOR) == 0 ? &kHalves : nullptr;
  });
  EXPECT_EQ(ranges(10, 1), (Ranges{{0, 5}, {5, 10}}));
  EXPECT_EQ(ranges(10, 10), (Ranges{{0, 10}}));  // too few for two
  EXPECT_EQ(ranges(0, 1), Ranges{});
}

TEST_F(HostServices, ParallelForIsOneRangeWhereTheHostLendsNone) {
  EXPECT_EQ(ranges(10, 1), (Ranges{{0, 10}}));  // before init
  lend([](const graft_host*, const char*) -> const void* { return nullptr; });
  EXPECT_EQ(ranges(10, 1), (Ranges{{0, 10}}));
  EXPECT_EQ(ranges(-1, 1), Ranges{});
}

}  // namespace
}  // namespace graft::plugin
