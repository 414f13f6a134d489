// From verified bytes to a plugin in this process.
#pragma once

#include <memory>
#include <string>

#include "graft/loaded_plugin.h"
#include "sealed_copy.h"

namespace graft {

/// Loads exactly the bytes of `library`: ELF check, dynamic linking (RTLD_LOCAL, RTLD_NOW), ABI check, init,
/// entries. The same bytes are loaded and initialised once per process; later callers, from any thread, get
/// the same plugin or the same error. `name` is what the user knows it by. Throws Error: corrupt or
/// unsupported (ELF, ABI major), plugin (symbols, missing libraries, init, malformed entries).
std::shared_ptr<const LoadedPlugin> load_plugin(SealedCopy library, const std::string& name);

}  // namespace graft
