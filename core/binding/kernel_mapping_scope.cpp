#include <mutex>
#include <vector>

#include "graft/kernel_mapping.h"

namespace graft {
namespace {

struct Registered {
  std::mutex mutex;
  KernelConfig mapping = KernelConfig::defaults();
};

/// Never destroyed: static objects may ask for it later than it would be.
Registered& registered() {
  static auto* instance = new Registered;
  return *instance;
}

thread_local std::vector<KernelConfig> scopes;

}  // namespace

KernelMappingScope::KernelMappingScope(KernelConfig mapping) { scopes.push_back(std::move(mapping)); }
KernelMappingScope::~KernelMappingScope() { scopes.pop_back(); }

KernelMappingScope use_kernel_mapping(const KernelConfig& config, const KernelMappingOptions& options) {
  return KernelMappingScope(options.inherit_mapping ? active_kernel_mapping().with(config) : config);
}

void register_kernel_mapping(const KernelConfig& config, const KernelMappingOptions& options) {
  Registered& all = registered();
  const std::lock_guard lock(all.mutex);
  all.mapping = options.inherit_mapping ? all.mapping.with(config) : config;
}

KernelConfig active_kernel_mapping() {
  if (!scopes.empty()) return scopes.back();
  Registered& all = registered();
  const std::lock_guard lock(all.mutex);
  return all.mapping;
}

}  // namespace graft
