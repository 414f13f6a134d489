#include "plugin_host.h"

#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <utility>

#include "graft/plugin_call.h"
#include "log.h"

namespace graft {
namespace {

constexpr std::size_t kMinAlignment = 64;  // a cache line: packed weights are read by vector loads

const PluginHost* of(const graft_host* host) {
  return reinterpret_cast<const PluginHost*>(host);
}

void set_error(const graft_host*, const char* message) {
  detail::keep_plugin_message(message ? message : "");
}

void write_log(const graft_host* host, std::uint32_t severity, const char* message) {
  auto level = severity <= GRAFT_LOG_ERROR ? static_cast<LogLevel>(severity) : LogLevel::error;
  log(level, of(host)->name, message ? message : "");
}

void* allocate(const graft_host* host, std::size_t bytes, std::size_t alignment) {
  if (alignment == 0 || (alignment & (alignment - 1)) != 0) return nullptr;
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment < kMinAlignment ? kMinAlignment : alignment, bytes ? bytes : 1) != 0)
    return nullptr;
  of(host)->allocated += malloc_usable_size(memory);
  return memory;
}

void release(const graft_host* host, void* memory) {
  if (memory) of(host)->allocated -= malloc_usable_size(memory);
  std::free(memory);
}

std::uint32_t thread_count(const graft_host*) {
  return host_threads::count();
}

void parallel_for(const graft_host*, std::int64_t count, std::int64_t grain, graft_parallel_body body,
                  void* data) {
  host_threads::parallel_for(count, grain, body, data);
}

constexpr graft_host_log kLog = {sizeof(graft_host_log), write_log};
constexpr graft_host_allocator kAllocator = {sizeof(graft_host_allocator), allocate, release};
constexpr graft_host_parallel_for kParallelFor = {sizeof(graft_host_parallel_for), thread_count,
                                                  parallel_for};

const void* get_extension(const graft_host*, const char* id) {
  if (!id) return nullptr;
  if (std::strcmp(id, GRAFT_EXT_LOG) == 0) return &kLog;
  if (std::strcmp(id, GRAFT_EXT_ALLOCATOR) == 0) return &kAllocator;
  if (std::strcmp(id, GRAFT_EXT_PARALLEL_FOR) == 0) return &kParallelFor;
  return nullptr;
}

}  // namespace

PluginHost& PluginHost::make(std::string plugin_name) {
  static auto& mutex = *new std::mutex;
  static auto& all = *new std::deque<PluginHost>;
  std::lock_guard lock(mutex);
  return all.emplace_back(std::move(plugin_name));
}

PluginHost::PluginHost(std::string plugin_name)
    : host{sizeof(graft_host), GRAFT_ABI_MAJOR, GRAFT_ABI_MINOR, "graft",
           GRAFT_VERSION,      set_error,       get_extension},
      name(std::move(plugin_name)) {}

}  // namespace graft
