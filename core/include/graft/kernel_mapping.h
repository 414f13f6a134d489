// The mapping in force where nobody gives a KernelConfig: for a block, or for the process.
#pragma once

#include "graft/kernel_config.h"

namespace graft {

struct KernelMappingOptions {
  /// False: nothing else is mapped, not even what KernelConfig::defaults() maps.
  bool inherit_mapping = true;
};

/// While it lives, kernelize() on this thread goes by its config. Give it up on the thread that made it, the last one first.
class [[nodiscard]] KernelMappingScope {
 public:
  explicit KernelMappingScope(KernelConfig mapping);
  ~KernelMappingScope();
  KernelMappingScope(const KernelMappingScope&) = delete;
};

/// `config` over the mapping in force on this thread, or alone, for a block:
///   { auto scope = use_kernel_mapping(config); kernelize(*module); }
KernelMappingScope use_kernel_mapping(const KernelConfig& config, const KernelMappingOptions& options = {});

/// The same for the whole process and every thread, from now on. Thread-safe.
void register_kernel_mapping(const KernelConfig& config, const KernelMappingOptions& options = {});

/// What kernelize() without a config takes on this thread: the innermost scope's, else KernelConfig::defaults() with what was
/// registered over it. Thread-safe.
KernelConfig active_kernel_mapping();

}  // namespace graft
