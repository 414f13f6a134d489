// PluginHost: the graft_host that one plugin sees.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "graft/abi/host.h"

namespace graft {

/// `host` is the first member: the functions find the rest from its address.
struct PluginHost {
  /// Lives as long as the process: a plugin may keep its address, and log from its own static objects'
  /// destructors.
  static PluginHost& make(std::string plugin_name);

  explicit PluginHost(std::string plugin_name);
  PluginHost(const PluginHost&) = delete;

  graft_host host;
  std::string name;  // the plugin's, for the log
  mutable std::atomic<std::size_t> allocated = 0;
};

/// The threads that plugins are lent: ThreadPool's (host_threads.cpp), in graft-probe the caller alone.
namespace host_threads {
std::uint32_t count();
void parallel_for(std::int64_t count, std::int64_t grain, graft_parallel_body body, void* data);
}  // namespace host_threads

}  // namespace graft
