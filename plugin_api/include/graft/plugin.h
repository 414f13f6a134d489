/* Graft's plugin interface: the one header that a plugin in C includes. C11 and C++17, no dependency.
 *
 * A plugin is a shared object with one exported symbol, graft_plugin_entry. A host reads it top to bottom:
 *
 *   graft_plugin_entry.abi_major == GRAFT_ABI_MAJOR ?     else refused, and nothing of the plugin runs
 *   init(host)                                            once per process
 *   entry_at(0 … entry_count-1)                           each a graft_entry: name, contracts, device, dtypes
 *   entry->create(…) → instance, entry->prepare(…)        for each layer that it is bound onto
 *   entry->workspace_size(…), entry->forward(…)           for each call, from any thread
 *   entry->destroy(instance)
 *   deinit()                                              when the process ends, before the device's context goes
 *
 * No exception, no C++ type and no allocation crosses the boundary. Plugins are never unloaded: graphs, autograd
 * nodes and thread locals may point into them.
 *
 * A plugin in C++ is shorter with <graft/plugin.hpp>. */
#ifndef GRAFT_PLUGIN_H
#define GRAFT_PLUGIN_H

#include "abi/call.h"
#include "abi/contract.h"
#include "abi/entry.h"
#include "abi/host.h"
#include "abi/status.h"
#include "abi/tensor.h"
#include "abi/value.h"
#include "abi/version.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct graft_plugin {
  uint32_t struct_size; /* sizeof(graft_plugin) as the plugin was compiled */
  uint16_t abi_major;   /* GRAFT_ABI_MAJOR */
  uint16_t abi_minor;   /* GRAFT_ABI_MINOR */

  /* Called once per process before anything else. `host` may be kept. Starts no thread, touches no device. Null: nothing
   * to do. [one thread] */
  graft_status (*init)(const graft_host* host);
  /* The counterpart, only after a successful init. Null: nothing to do. [one thread, no other function running] */
  void (*deinit)(void);

  /* The entries; the same answers for the life of the process. [any thread, after init] */
  uint32_t (*entry_count)(void);
  const graft_entry* (*entry_at)(uint32_t index);

  /* What this plugin offers beyond this version, by id; null for an id it does not know. May be null itself.
   * [any thread, after init] */
  const void* (*extension)(const char* id);
} graft_plugin;

/* The one symbol that a plugin exports. */
extern GRAFT_EXPORT const graft_plugin graft_plugin_entry;

#ifdef __cplusplus
}
#endif

#endif
