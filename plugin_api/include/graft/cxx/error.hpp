// How a kernel in C++ fails: it throws, and the boundary turns that into a status and a message.
#pragma once

#include <new>
#include <stdexcept>

#include "../abi/host.h"
#include "../abi/status.h"

namespace graft::plugin {

// "This call is not for me": the layer's own forward runs instead, without being counted as a failure.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The device's context is lost: every later call on it would fail too.
struct DeviceLost : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One host per plugin. Hidden visibility (graft_add_plugin sets it) keeps it apart from other plugins' host.
inline const graft_host*& host() {
  static const graft_host* instance = nullptr;
  return instance;
}

inline graft_status remember_host(const graft_host* h) {
  host() = h;
  return GRAFT_OK;
}

inline graft_status fail(graft_status status, const char* message) noexcept {
  if (host() != nullptr) host()->set_error(host(), message);
  return status;
}

// Runs `body` and lets no exception out.
template <class Body>
graft_status guarded(Body&& body) noexcept {
  try {
    body();
    return GRAFT_OK;
  } catch (const Unsupported& e) {
    return fail(GRAFT_UNSUPPORTED, e.what());
  } catch (const DeviceLost& e) {
    return fail(GRAFT_DEVICE_LOST, e.what());
  } catch (const std::invalid_argument& e) {
    return fail(GRAFT_INVALID_ARGUMENT, e.what());
  } catch (const std::bad_alloc&) {
    return fail(GRAFT_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return fail(GRAFT_FAILED, e.what());
  } catch (...) {
    return fail(GRAFT_FAILED, "an exception that is no std::exception");
  }
}

}  // namespace graft::plugin
