// deinit() of the plugins when the process ends.
#pragma once

#include "graft/plugin.h"

namespace graft {

/// Has `plugin`'s deinit run at exit, in the reverse order of loading. It is registered with atexit after the
/// plugin's libraries were loaded, so it runs before their own handlers, such as the one that ends a device's
/// context. Any thread.
void deinit_at_exit(const graft_plugin& plugin);

}  // namespace graft
