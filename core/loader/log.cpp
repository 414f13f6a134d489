#include "log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace graft {
namespace {

spdlog::level::level_enum level_from_environment() {
  const char* text = std::getenv("GRAFT_LOG");
  // from_str gives `off` for a word it does not know; a typo must not silence errors.
  std::string word = text ? text : "";
  auto level = spdlog::level::from_str(word);
  return level == spdlog::level::off && word != "off" ? spdlog::level::warn : level;
}

spdlog::logger& logger() {
  // Its own, in no registry of spdlog's, and never destroyed: plugins may log while the process ends.
  static auto* instance = [] {
    auto* made = new spdlog::logger("graft", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("[%n] %l %v");
    made->set_level(level_from_environment());
    return made;
  }();
  return *instance;
}

void to_standard_error(LogLevel level, const std::string& line) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                   spdlog::level::warn, spdlog::level::err};
  logger().log(kLevels[static_cast<int>(level)], "{}", line);
}

struct HostLogger {
  std::recursive_mutex mutex;  // held while it runs; recursive, since it may log, and may set another one
  std::shared_ptr<const Logger> logger;
};

HostLogger& host_logger() {
  static auto* instance = new HostLogger;  // plugins may log while the process ends
  return *instance;
}

thread_local bool in_host_logger = false;

/// Whether the host took the line.
bool to_host(LogLevel level, const std::string& line) {
  if (in_host_logger) return false;
  HostLogger& host = host_logger();
  std::lock_guard lock(host.mutex);
  const std::shared_ptr<const Logger> logger = host.logger;  // kept, should it set another one
  if (!logger) return false;
  in_host_logger = true;
  bool taken = true;
  try {
    (*logger)(level, line);
  } catch (...) {
    taken = false;
  }
  in_host_logger = false;
  return taken;
}

}  // namespace

std::string_view name(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warning: return "warning";
    case LogLevel::error: return "error";
  }
  return "error";
}

void set_logger(Logger logger) {
  auto next = logger ? std::make_shared<const Logger>(std::move(logger)) : nullptr;
  HostLogger& host = host_logger();
  std::lock_guard lock(host.mutex);
  std::swap(host.logger, next);
}

void log(LogLevel level, std::string_view origin, std::string_view message) {
  std::string line = std::string(origin) + ": " + std::string(message);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }, '?');
  if (!to_host(level, line)) to_standard_error(level, line);
}

}  // namespace graft
