#include "shutdown.h"

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "graft/loaded_plugin.h"
#include "graft/plugin_call.h"

namespace graft {
namespace {

std::atomic<bool> gone = false;

struct Plugins {
  std::mutex mutex;
  std::vector<const graft_plugin*> initialised;
};

Plugins& plugins() {
  static auto& instance = *new Plugins;  // outlives every static object's destructor
  return instance;
}

void deinit_last() {
  gone = true;
  std::unique_lock lock(plugins().mutex);
  const graft_plugin* last = plugins().initialised.back();
  plugins().initialised.pop_back();
  lock.unlock();
  if (last->deinit)
    call_plugin([&] {
      last->deinit();
      return graft_status{GRAFT_OK};
    });
}

}  // namespace

void deinit_at_exit(const graft_plugin& plugin) {
  std::lock_guard lock(plugins().mutex);
  plugins().initialised.push_back(&plugin);
  std::atexit(deinit_last);
}

bool plugins_are_gone() {
  return gone;
}

}  // namespace graft
