// PluginHost: the graft_host that one plugin sees.
#pragma once

#include <atomic>
#include <cstddef>
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

}  // namespace graft
