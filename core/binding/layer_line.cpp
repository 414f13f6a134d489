#include "layer_line.h"

namespace graft {

LayerReport LayerLine::report(const std::string& layer, const std::string& module) const {
  LayerReport report{
      .layer = layer, .module = module, .state = state, .covered_by = covered_by, .reason = reason};
  if (mapped == nullptr) return report;
  report.reference = mapped->reference;
  if (mapped->kernel == nullptr) return report;
  const Kernel& kernel = *mapped->kernel;
  report.repo = kernel.repo;
  report.commit = kernel.commit;
  report.variant = kernel.variant;
  report.entry = kernel.entry->name;
  report.digest = kernel.digest;
  report.trust = kernel.trust.state;
  report.publisher = kernel.trust.publisher;
  report.license = kernel.metadata->license;
  report.signer = kernel.trust.signer;
  report.rule = kernel.trust.rule;
  return report;
}

std::string remark(const Kernel& kernel) {
  std::string remark = kernel.trust.state == "trusted" ? "" : kernel.trust.reason;
  const auto add = [&](const std::string& text) { remark += (remark.empty() ? "" : "; ") + text; };
  if (!kernel.note.empty()) add(kernel.note);
  if ((kernel.entry->flags & GRAFT_ENTRY_QUANTIZES) != 0) add("its weights are quantised here");
  return remark;
}

}  // namespace graft
