#include "graft/plugin_call.h"

#include "graft/error.h"

namespace graft {
namespace {

// Read only while plugin_message_set says that it belongs to the last call.
thread_local std::string last_message;

}  // namespace

namespace detail {

constinit thread_local bool plugin_message_set __attribute__((tls_model("initial-exec"))) = false;

void keep_plugin_message(const char* message) noexcept try {
  last_message = message;
  plugin_message_set = true;
} catch (...) {
  plugin_message_set = false;  // out of memory: the status alone must do
}

}  // namespace detail

std::string plugin_message() {
  return detail::plugin_message_set ? last_message : std::string();
}

std::string status_name(graft_status status) {
  switch (status) {
    case GRAFT_OK:
      return "GRAFT_OK";
    case GRAFT_UNSUPPORTED:
      return "GRAFT_UNSUPPORTED";
    case GRAFT_INVALID_ARGUMENT:
      return "GRAFT_INVALID_ARGUMENT";
    case GRAFT_OUT_OF_MEMORY:
      return "GRAFT_OUT_OF_MEMORY";
    case GRAFT_FAILED:
      return "GRAFT_FAILED";
    case GRAFT_DEVICE_LOST:
      return "GRAFT_DEVICE_LOST";
    default:
      return "GRAFT_FAILED (code " + std::to_string(status) + ")";
  }
}

void throw_plugin_error(graft_status status, std::string_view kernel, std::string_view function) {
  std::string why = std::string(function) + " returned " + status_name(status);
  if (std::string message = plugin_message(); !message.empty()) why += ": " + message;
  throw Error(status == GRAFT_UNSUPPORTED ? ErrorCode::unsupported : ErrorCode::plugin,
              "kernel " + std::string(kernel), why,
              status == GRAFT_UNSUPPORTED ? "" : "report it to the kernel's author");
}

}  // namespace graft
