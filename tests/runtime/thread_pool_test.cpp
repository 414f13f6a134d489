#include "graft/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "fixtures.h"

namespace graft {
namespace {

/// Counts how often each index was visited, and what the bodies saw.
struct Visits {
  explicit Visits(std::int64_t count) : seen(static_cast<std::size_t>(count)) {}
  std::vector<std::atomic<int>> seen;
  std::atomic<std::int64_t> shortest = INT64_MAX;
  std::atomic<std::uint32_t> highest_worker = 0;

  static void body(void* data, std::int64_t begin, std::int64_t end, std::uint32_t worker) {
    auto& visits = *static_cast<Visits*>(data);
    for (std::int64_t i = begin; i < end; ++i) ++visits.seen[static_cast<std::size_t>(i)];
    if (end != static_cast<std::int64_t>(visits.seen.size())) {
      std::int64_t length = end - begin, least = visits.shortest;
      while (length < least && !visits.shortest.compare_exchange_weak(least, length)) {
      }
    }
    std::uint32_t most = visits.highest_worker;
    while (worker > most && !visits.highest_worker.compare_exchange_weak(most, worker)) {
    }
  }
  bool each_once() const {
    for (const auto& count : seen)
      if (count != 1) return false;
    return true;
  }
};

TEST(ThreadPool, VisitsEachIndexOnce) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (std::int64_t count : {0, 1, 2, 7, 64, 1000})
      for (std::int64_t grain : {-1, 0, 1, 5, 64, 5000}) {
        Visits visits(count);
        pool.parallel_for(count, grain, Visits::body, &visits);
        ASSERT_TRUE(visits.each_once()) << threads << " " << count << " " << grain;
        ASSERT_GE(visits.shortest, (std::min<std::int64_t>(grain, count) + 1) / 2);
        ASSERT_LT(visits.highest_worker, static_cast<std::uint32_t>(threads));
      }
  }
}

TEST(ThreadPool, CutsIntoAsManyRangesForOneThreadAsForAnother) {
  ThreadPool pool(2);
  const auto ranges = [&](std::int64_t count, std::int64_t grain) {
    std::atomic<int> calls = 0;
    pool.parallel_for(count, grain, [](void* data, std::int64_t, std::int64_t, std::uint32_t) { ++*static_cast<std::atomic<int>*>(data); }, &calls);
    return calls.load();
  };
  EXPECT_EQ(ranges(28, 28), 1);
  EXPECT_EQ(ranges(48, 28), 2);   // 24 each, not 28 and 20
  EXPECT_EQ(ranges(144, 28), 6);  // not five of 28 and one of 4
  EXPECT_EQ(ranges(200, 28), 8);
  EXPECT_EQ(ranges(1000000, 1), 8);
}

TEST(ThreadPool, GivesAThreadTheSameIndicesOfEachJobFirst) {
  struct Firsts {
    std::atomic<int> begun = 0;
    std::atomic<std::int64_t> first[3] = {-1, -1, -1};
  };
  ThreadPool pool(3);
  for (int job = 0; job < 20; ++job) {
    Firsts firsts;
    pool.parallel_for(
        600, 1,
        [](void* data, std::int64_t begin, std::int64_t, std::uint32_t worker) {
          auto& f = *static_cast<Firsts*>(data);
          if (f.first[worker] != -1) return;
          f.first[worker] = begin;
          ++f.begun;
          while (f.begun < 3)
            std::this_thread::yield();  // so that none takes another's before that has begun
        },
        &firsts);
    for (int worker = 0; worker < 3; ++worker) EXPECT_EQ(firsts.first[worker], worker * 50) << "job " << job;
  }
}

TEST(ThreadPool, LeavesWhatALateThreadHasToTheOthers) {
  struct Late {
    std::atomic<std::int64_t> done = 0;
    std::atomic<bool> late = false;
  } late;
  ThreadPool pool(2);
  pool.parallel_for(
      800, 1,
      [](void* data, std::int64_t begin, std::int64_t end, std::uint32_t worker) {
        auto& l = *static_cast<Late*>(data);
        if (worker == 1 && !l.late.exchange(true)) {
          // It has one of eight chunks: the caller does the other seven meanwhile.
          while (l.done < 700) std::this_thread::yield();
        }
        l.done += end - begin;
      },
      &late);
  EXPECT_EQ(late.done, 800);
}

TEST(ThreadPool, WorksAfterItsWorkersWentToSleep) {
  ThreadPool pool(3);
  for (int i = 0; i < 5; ++i) {
    Visits visits(100);
    pool.parallel_for(100, 1, Visits::body, &visits);
    ASSERT_TRUE(visits.each_once());
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST(ThreadPool, ServesSeveralCallersAtOnce) {
  ThreadPool pool(4);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (int c = 0; c < 6; ++c)
    callers.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        Visits visits(37);
        pool.parallel_for(37, 1, Visits::body, &visits);
        if (!visits.each_once()) ++wrong;
      }
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST(ThreadPool, RunsNestedCallsInline) {
  struct Nested {
    ThreadPool pool{3};
    std::atomic<int> inner = 0;
  } nested;
  nested.pool.parallel_for(
      8, 1,
      [](void* data, std::int64_t begin, std::int64_t end, std::uint32_t) {
        auto& n = *static_cast<Nested*>(data);
        for (std::int64_t i = begin; i < end; ++i)
          n.pool.parallel_for(
              10, 1,
              [](void* d, std::int64_t b, std::int64_t e, std::uint32_t worker) {
                if (worker == 0) static_cast<Nested*>(d)->inner += static_cast<int>(e - b);
              },
              &n);
      },
      &nested);
  EXPECT_EQ(nested.inner, 80);
}

TEST(ThreadPool, GivesScratchSlotsThatDoNotCollide) {
  struct Scratch {
    std::atomic<int> inside[4] = {};
    std::atomic<bool> collided = false;
  } scratch;
  ThreadPool pool(4);
  for (int i = 0; i < 300; ++i)
    pool.parallel_for(
        64, 1,
        [](void* data, std::int64_t, std::int64_t, std::uint32_t worker) {
          auto& s = *static_cast<Scratch*>(data);
          if (++s.inside[worker] != 1) s.collided = true;
          --s.inside[worker];
        },
        &scratch);
  EXPECT_FALSE(scratch.collided);
}

TEST(CpuCall, LeadsAPluginToThePool) {
  ThreadPool pool(2);
  char workspace[256];
  CpuCall made = make_cpu_call(pool, workspace, sizeof workspace);
  EXPECT_EQ(made.call.struct_size, sizeof(graft_call));
  EXPECT_EQ(made.call.thread_count, 2u);
  EXPECT_EQ(made.call.device.type, GRAFT_DEVICE_CPU);
  EXPECT_EQ(made.call.workspace, workspace);
  EXPECT_EQ(made.call.stream, nullptr);
  Visits visits(50);
  made.call.parallel_for(&made.call, 50, 1, Visits::body, &visits);
  EXPECT_TRUE(visits.each_once());
}

TEST(ThreadCount, ComesFromTheEnvironmentIfItIsANumber) {
  test::ScopedEnv set("GRAFT_NUM_THREADS", "3");
  EXPECT_EQ(default_thread_count(), 3);
}

TEST(ThreadCount, IsTheMachinesOtherwise) {
  for (const char* text : {"", "0", "-1", "many", "3x"}) {
    test::ScopedEnv set("GRAFT_NUM_THREADS", text);
    EXPECT_GE(default_thread_count(), 1) << text;
    EXPECT_LE(default_thread_count(), static_cast<int>(std::thread::hardware_concurrency())) << text;
  }
}

}  // namespace
}  // namespace graft
