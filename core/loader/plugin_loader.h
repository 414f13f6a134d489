// From verified bytes to a plugin in this process.
#pragma once

#include <memory>
#include <string>

#include "elf_check.h"
#include "graft/loaded_plugin.h"
#include "probe.h"
#include "sealed_copy.h"

namespace graft {

struct LoadRules {
  ElfRules elf = {};  // family, device, libraries
  bool probe = true;  // whether a digest's first load on this machine happens in graft-probe
  ProbeLimits limits = {};
};

/// Loads exactly the bytes of `library`: preflight (check_elf), quarantine, probe if this digest has not
/// passed one on this machine, dynamic linking (RTLD_LOCAL, RTLD_NOW), ABI check, init, entries. The same
/// bytes are loaded and initialised once per process; later callers, from any thread, get the same plugin, or
/// the same error if it was the plugin's. What the preflight, the quarantine and a probe that could not run
/// say is asked anew each time. `name` is what the user knows it by. Throws Error: corrupt or unsupported
/// (ELF, ABI major), plugin (symbols, libraries, init, malformed entries, quarantined, failed in the probe),
/// not_found (no graft-probe).
std::shared_ptr<const LoadedPlugin> load_plugin(SealedCopy library, const std::string& name,
                                                const LoadRules& rules = {});

}  // namespace graft
