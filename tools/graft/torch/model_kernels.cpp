#include "model_kernels.h"

namespace graft {
namespace {

std::optional<Mode> parse_mode(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const Mode mode = text.starts_with("training") ? Mode::Training : Mode::Inference;
  return text.ends_with("torch_compile") ? mode | Mode::TorchCompile : mode;
}

std::string counted(size_t count, const std::string& one, const std::string& many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

}  // namespace

ModelKernelizeOptions kernelize_options(const KernelOptions& options) {
  KernelConfig config;
  for (const std::string& text : options.map) {
    const size_t equals = text.find('=');  // --map's own check has seen to it that there is one
    config.add({LayerKey::parse(text.substr(0, equals)), text.substr(equals + 1)}, {.use_local_kernel = true});
  }
  return {.mode = parse_mode(options.mode),
          .kernel_config = config,
          .allow_all_kernels = options.allow_all_kernels};
}

std::string strict_failure(const BindReport& report) {
  if (report.as_mapped()) return "";
  std::string text;
  if (report.any_fallback()) {
    text = counted(size_t(report.count(LayerState::fallback)), "mapped layer falls back",
                   "mapped layers fall back");
  }
  if (!report.warnings.empty()) {
    text += (text.empty() ? "" : "; ") + counted(report.warnings.size(), "mapped name is none of the model's",
                                                 "mapped names are none of the model's");
  }
  return text;
}

}  // namespace graft
