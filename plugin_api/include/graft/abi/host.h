/* graft_host: what a plugin may ask of its host. */
#ifndef GRAFT_ABI_HOST_H
#define GRAFT_ABI_HOST_H

#include "call.h"
#include "version.h"

typedef struct graft_host graft_host;

/* Lives from init() to deinit(). All functions: [any thread, any time in between]. */
struct graft_host {
  uint32_t struct_size;
  uint16_t abi_major;
  uint16_t abi_minor;
  const char* name;    /* "graft" */
  const char* version; /* "0.1.0" */

  /* Says why the plugin's function now running on this thread is about to return something else than GRAFT_OK. UTF-8,
   * copied at once; the last one counts. One sentence: what is wrong, with the sizes or names in question. */
  void (*set_error)(const graft_host* host, const char* message);

  /* A service by its id, null where this host has none. The pointer lives as long as the host struct.
   * Both sides grow by extensions: an id ends in its version, and what it names never changes. */
  const void* (*get_extension)(const graft_host* host, const char* id);
};

/* Extension "graft.log/1". Messages go to the host's log under the plugin's name. */
#define GRAFT_EXT_LOG "graft.log/1"
enum { GRAFT_LOG_DEBUG = 0, GRAFT_LOG_INFO = 1, GRAFT_LOG_WARNING = 2, GRAFT_LOG_ERROR = 3 };
typedef struct graft_host_log {
  uint32_t struct_size;
  void (*write)(const graft_host* host, uint32_t severity, const char* message);
} graft_host_log;

/* Extension "graft.allocator/1". Host memory for packed weights, counted in the host's report. `allocate` returns
 * null when out of memory; `alignment` is a power of two. Never from within forward. */
#define GRAFT_EXT_ALLOCATOR "graft.allocator/1"
typedef struct graft_host_allocator {
  uint32_t struct_size;
  void* (*allocate)(const graft_host* host, size_t bytes, size_t alignment);
  void (*release)(const graft_host* host, void* memory);
} graft_host_allocator;

/* Extension "graft.parallel_for/1". The host's threads for a function that gets no graft_call, as prepare(),
 * which may pack weights: both are what graft_call has under these names. Not from within forward, backward
 * or a body. */
#define GRAFT_EXT_PARALLEL_FOR "graft.parallel_for/1"
typedef struct graft_host_parallel_for {
  uint32_t struct_size;
  uint32_t (*thread_count)(const graft_host* host);
  void (*parallel_for)(const graft_host* host, int64_t count, int64_t grain, graft_parallel_body body,
                       void* data);
} graft_host_parallel_for;

#endif
