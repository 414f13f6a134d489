#include "log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>

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

}  // namespace

void log(LogLevel level, std::string_view origin, std::string_view message) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                   spdlog::level::warn, spdlog::level::err};
  std::string line = std::string(origin) + ": " + std::string(message);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }, '?');
  logger().log(kLevels[static_cast<int>(level)], "{}", line);
}

}  // namespace graft
