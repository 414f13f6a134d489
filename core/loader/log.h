// Graft's log: to the host's logger (graft/logger.h), else to standard error, there from the level in GRAFT_LOG (debug, info,
// warning, error, off; warning if unset).
#pragma once

#include <string_view>

#include "graft/logger.h"

namespace graft {

/// One line, "[graft] warning norm: message"; bytes that a terminal would act on are shown as '?'. Any
/// thread.
void log(LogLevel level, std::string_view origin, std::string_view message);

}  // namespace graft
