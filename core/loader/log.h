// Graft's log: to standard error, from the level in GRAFT_LOG (debug, info, warning, error, off; warning if
// unset).
#pragma once

#include <string_view>

namespace graft {

enum class LogLevel { debug, info, warning, error };

/// One line, "[graft] warning norm: message"; bytes that a terminal would act on are shown as '?'. Any
/// thread.
void log(LogLevel level, std::string_view origin, std::string_view message);

}  // namespace graft
