// graft doctor MODEL: makes the model of its configuration alone and asks what binding would come to.
#include "doctor_model.h"

#include <c10/util/Exception.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "graft/auto_model.h"
#include "graft/error.h"
#include "graft/fetch_model.h"
#include "model_kernels.h"
#include "placement.h"  // of core/models
#include "terminal.h"

namespace graft {
namespace {

std::string json_of(const BindReport& report) {
  nlohmann::ordered_json out = nlohmann::ordered_json::parse(report.json());
  out["would_fall_back"] = report.count(LayerState::fallback);
  return out.dump();
}

/// "392 of 422 layers would be bound; 30 would fall back".
std::string summary(const BindReport& report) {
  const int bound = report.count(LayerState::bound), fallback = report.count(LayerState::fallback);
  const int left = int(report.layers.size()) - bound - fallback;
  std::string text =
      std::to_string(bound) + " of " + std::to_string(report.layers.size()) + " layers would be bound";
  if (fallback > 0) text += "; " + std::to_string(fallback) + " would fall back";
  if (left > 0) text += "; " + std::to_string(left) + " would keep their own forward, unmapped or disabled";
  return text;
}

int examine(const DoctorModelOptions& options) {
  const ModelKernelizeOptions asked = kernelize_options(options);
  const c10::Device device = parse_device(options.device);
  const FetchedModel fetched = fetch_model_config(options.model, options.revision);
  if (!fetched.note.empty())
    std::cerr << "note: model " << options.model << " is " << printable(fetched.note) << "\n";
  const auto model = AutoModelForCausalLM::without_weights(fetched.folder.string(), {.dtype = options.dtype});
  if (options.dtype == "auto" && model->config().dtype.empty()) {
    std::cerr << "note: config.json names no dtype, so this is for float32; --dtype says another\n";
  }
  const BindReport report = model->plan_kernels(asked, options.attn_implementation, device);
  const std::string why = options.strict ? strict_failure(report) : "";
  if (options.json) {
    std::cout << json_of(report) << "\n";
  } else {
    std::cout << printable(report.table()) << "\n" << summary(report) << "\n" << std::flush;
    if (!why.empty()) std::cerr << "graft: --strict: " << why << "\n";
  }
  return why.empty() ? 0 : 1;
}

}  // namespace
}  // namespace graft

extern "C" __attribute__((visibility("default"))) int graft_command_doctor_model(
    const graft::DoctorModelOptions* options) {
  try {
    return graft::examine(*options);
  } catch (const c10::Error& error) {  // its what() carries a backtrace
    throw graft::Error(graft::ErrorCode::internal, "graft doctor", error.what_without_backtrace(),
                       "please report it");
  }
}
