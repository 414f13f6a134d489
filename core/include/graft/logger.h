// set_logger: a host takes over the lines that Graft and its plugins log.
#pragma once

#include <functional>
#include <string_view>

namespace graft {

enum class LogLevel { debug, info, warning, error };
/// "debug", "info", "warning", "error".
std::string_view name(LogLevel level);

/// `line`: "graft-kernels/norm: message", who speaks (a plugin by its name) and what; control bytes are shown as '?'. It is
/// valid during the call.
using Logger = std::function<void(LogLevel level, std::string_view line)>;

/// From now on every line of every level goes to `logger` instead of standard error, GRAFT_LOG or not; an empty one gives
/// them back. Any thread may log, and lines come one at a time; when this returns, the logger before is in no call any more,
/// but for one that sets another itself. Lines may be logged while a kernel is loaded: a logger must not load kernels, nor
/// wait for a thread that does. What it throws is dropped, and that line and those it logs itself go to standard error. Any
/// thread.
void set_logger(Logger logger);

}  // namespace graft
