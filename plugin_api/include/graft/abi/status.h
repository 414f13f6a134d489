/* What a plugin's functions return. */
#ifndef GRAFT_ABI_STATUS_H
#define GRAFT_ABI_STATUS_H

#include <stdint.h>

/* Anything but GRAFT_OK may be explained through graft_host.set_error on the same thread, before returning.
 * Codes are only added; a host treats one it does not know as GRAFT_FAILED. */
typedef int32_t graft_status;

enum {
  GRAFT_OK = 0,
  /* These shapes, dtypes or attributes are not served. An answer, not a failure: the layer's own forward runs. */
  GRAFT_UNSUPPORTED = 1,
  /* The call broke the contract (a defect of the host's). */
  GRAFT_INVALID_ARGUMENT = 2,
  GRAFT_OUT_OF_MEMORY = 3,
  /* The call failed; a later one may succeed. Outputs hold garbage; the host throws them away. */
  GRAFT_FAILED = 4,
  /* The device's context is lost (a sticky error). Fatal for every later call on it, never a fallback. */
  GRAFT_DEVICE_LOST = 5
};

#endif
