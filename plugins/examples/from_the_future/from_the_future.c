/* A plugin built for a major version of the interface that no host knows yet. It is sound otherwise; a host
 * reads abi_major, refuses it before anything of it runs, and the layer keeps its own forward. */
#include <graft/plugin.h>

static uint32_t entry_count(void) {
  return 0;
}
static const graft_entry* entry_at(uint32_t index) {
  (void)index;
  return NULL;
}

const graft_plugin graft_plugin_entry = {
    .struct_size = sizeof(graft_plugin),
    .abi_major = GRAFT_ABI_MAJOR + 1,
    .abi_minor = 0,
    .entry_count = entry_count,
    .entry_at = entry_at,
};
