// Calls into plugin code: nothing a plugin does may unwind through the host.
#pragma once

#include <cxxabi.h>

#include <exception>
#include <string>
#include <string_view>

#include "graft/abi/status.h"

namespace graft {

namespace detail {
// Set by graft_host.set_error and by what a call threw. Initial-exec: one store per call, not a function
// call.
extern constinit thread_local bool plugin_message_set __attribute__((tls_model("initial-exec")));
void keep_plugin_message(const char* message) noexcept;
}  // namespace detail

/// Runs `function` (which calls a plugin and returns its graft_status); an exception becomes GRAFT_FAILED,
/// and what it said is kept as if the plugin had called set_error. Costs about a nanosecond.
///
///   graft_status status = call_plugin([&] { return entry->forward(instance, &call, arguments); });
///   if (status != GRAFT_OK) throw_plugin_error(status, "graft-kernels/norm:RMSNorm", "forward");
template <class F>
[[gnu::always_inline]] inline graft_status call_plugin(F&& function) {
  detail::plugin_message_set = false;
  try {
    return function();
  } catch (abi::__forced_unwind&) {
    throw;  // the thread is being cancelled: glibc aborts the process if that is swallowed
  } catch (const std::exception& e) {
    detail::keep_plugin_message(e.what());
  } catch (...) {
    detail::keep_plugin_message("it threw something that is no std::exception");
  }
  return GRAFT_FAILED;
}

/// What the last call_plugin on this thread left with set_error; empty if nothing.
std::string plugin_message();

/// "GRAFT_OUT_OF_MEMORY"; unknown codes read "GRAFT_FAILED (code 17)".
std::string status_name(graft_status status);

/// Throws the Error for a status that is not GRAFT_OK: unsupported for GRAFT_UNSUPPORTED, else plugin. The
/// message holds plugin_message(). `kernel` is how the user knows it, `function` the ABI's name: "create",
/// "forward".
[[noreturn]] void throw_plugin_error(graft_status status, std::string_view kernel, std::string_view function);

}  // namespace graft
