/* graft_call: the circumstances of one forward or backward. */
#ifndef GRAFT_ABI_CALL_H
#define GRAFT_ABI_CALL_H

#include <stddef.h>

#include "tensor.h"

typedef struct graft_call graft_call;

enum {
  /* The stream is being captured into a graph: enqueue only what can be captured. */
  GRAFT_CALL_CAPTURING = 1,
  /* Same inputs must give the same bits. Only entries with GRAFT_ENTRY_DETERMINISTIC see it. */
  GRAFT_CALL_DETERMINISTIC = 2
};

/* Work on [begin, end) of a parallel_for. `worker` < thread_count differs between bodies that run at once, so a
 * scratch array of thread_count slots is free of races. Must not throw, nor call parallel_for. */
typedef void (*graft_parallel_body)(void* data, int64_t begin, int64_t end, uint32_t worker);

/* Owned by the host, valid until the call returns; never written by the plugin.
 * Return means enqueued: on a device with streams, forward neither waits nor synchronises. */
struct graft_call {
  uint32_t struct_size;
  uint32_t flags;        /* GRAFT_CALL_… */
  graft_device device;   /* made current by the host */
  void* stream;          /* cudaStream_t, hipStream_t …; null on CPU */
  void* workspace;       /* scratch, aligned to 256 bytes, contents undefined, this call's alone */
  size_t workspace_size; /* bytes: at least what workspace_size() asked for */

  uint32_t thread_count; /* threads that parallel_for uses, this one included; >= 1 */
  uint32_t reserved;
  /* Splits [0, count) into ranges of about `grain` or more (all but the last have more than half of it, so that
   * threads get as much as each other) and runs `body` on them, on this thread and the host's others; returns
   * when all are done. CPU only (null elsewhere).
   * Rationale: plugins start no threads, so that a process has one pool however many plugins it loads.
   * [the thread that runs forward or backward; not from within a body] */
  void (*parallel_for)(const graft_call* call, int64_t count, int64_t grain, graft_parallel_body body, void* data);
};

#endif
