#include "layer_line.h"

namespace graft {

LayerReport LayerLine::report(const std::string& layer, const std::string& module) const {
  if (mapped == nullptr)
    return {.layer = layer, .module = module, .state = state, .covered_by = covered_by, .reason = reason};
  const std::string& reference = mapped->reference;
  if (mapped->kernel == nullptr)
    return {.layer = layer,
            .module = module,
            .state = state,
            .reference = reference,
            .covered_by = covered_by,
            .reason = reason};
  const Kernel& kernel = *mapped->kernel;
  return {.layer = layer,
          .module = module,
          .state = state,
          .reference = reference,
          .repo = kernel.repo,
          .commit = kernel.commit,
          .variant = kernel.variant,
          .entry = kernel.entry->name,
          .digest = kernel.digest,
          .trust = kernel.trust.state,
          .publisher = kernel.trust.publisher,
          .license = kernel.metadata->license,
          .signer = kernel.trust.signer,
          .rule = kernel.trust.rule,
          .covered_by = covered_by,
          .reason = reason};
}

std::string remark(const Kernel& kernel) {
  std::string remark = kernel.trust.state == "trusted" ? "" : kernel.trust.reason;
  const auto add = [&](const std::string& text) { remark += (remark.empty() ? "" : "; ") + text; };
  if (!kernel.note.empty()) add(kernel.note);
  if ((kernel.entry->flags & GRAFT_ENTRY_QUANTIZES) != 0) add("its weights are quantised here");
  return remark;
}

}  // namespace graft
