#include "self_check.h"

#include <ATen/core/grad_mode.h>

#include <cstdio>

#include "bound_kernel.h"
#include "correctness.h"
#include "event_sink.h"
#include "graft/dtype.h"
#include "graft/error.h"
#include "graft/quarantine.h"
#include "kernel_call.h"
#include "layer.h"
#include "self_checks.h"
#include "slot_state.h"
#include "tensor_view.h"

namespace graft {
namespace {

using namespace reference;

enum class Served { yes, no };

/// One case: false if the entry leaves it to the own forward. Throws Error if it fails, or gives something else.
Served check_shape(const Kernel& kernel, const LayerKind& kind, const Sizes& shape, const Tolerance& tolerance, c10::Device device,
                   at::ScalarType dtype) {
  Draw draw(dtype, device);
  const LayerData data = kind.data(shape, draw);
  const std::shared_ptr<Layer> layer = kind.make(data), own = kind.make(data.in_double());
  layer->eval();
  own->eval();
  const std::shared_ptr<SlotState> slot = slot_registry::of(layer.get()).front();
  SlotBinding binding;
  binding.inference = std::make_shared<const BoundKernel>(std::make_shared<const Kernel>(kernel), slot->facts(device, dtype));
  binding.use_fallback = false;
  slot->bind(std::move(binding));
  const Outputs results = layer->forward();
  if (layer->own_calls() > 0) return Served::no;
  const Deviation found = deviation(results, own->forward(), tolerance);
  if (found.within()) return Served::yes;
  char why[160];
  std::snprintf(why, sizeof why, "its results differ from the layer's own by up to %.3g, %.3g times what %s (%s, %s)",
                found.largest, found.share, tolerance.of_norm ? "quantised weights may make of it" : "the contract allows", to_text(shape).c_str(), dtype_name(to_graft(dtype)).c_str());
  throw Error(ErrorCode::plugin, "kernel " + kernel.ref.str(), why);
}

/// Nothing if no small shape is served: then the kernel was not looked at.
std::optional<std::string> look_at(const Kernel& kernel, const LayerKind& kind, const Tolerance& tolerance, c10::Device device,
                                   at::ScalarType dtype) try {
  const at::NoGradGuard no_grad;
  const event_sink::Quiet quiet;
  bool served = false;
  for (const Sizes& shape : kind.small) served |= check_shape(kernel, kind, shape, tolerance, device, dtype) == Served::yes;
  return served ? std::optional<std::string>("") : std::nullopt;
} catch (const Error& e) {
  if (e.code() == ErrorCode::unsupported) return std::nullopt;  // binding says it, for the layer's own shapes
  return "the self-check failed: " + e.why();
}

}  // namespace

std::string self_check(const Kernel& kernel, const graft_contract& contract, c10::Device device, at::ScalarType dtype) {
  const LayerKind* kind = find_layer_kind(contract.name);
  const std::optional<Tolerance> tolerance = tolerance_of(contract, to_graft(dtype), *kernel.entry);
  if (kind == nullptr || !tolerance) return {};
  const SelfChecks known(state_folder());
  const int capability = capability_of(device);  // each has machine code of its own
  const std::string what = std::string(kernel.entry->name) + " " + contract.name + " " + kernel.variant + " " +
                           c10::DeviceTypeName(device.type(), /*lower_case=*/true) + (capability != 0 ? std::to_string(capability) : "") + " " + dtype_name(to_graft(dtype));
  if (auto complaint = known.find(kernel.digest, what)) return *complaint;
  const auto complaint = look_at(kernel, *kind, *tolerance, device, dtype);
  if (complaint) known.remember(kernel.digest, what, *complaint);
  return complaint.value_or("");
}

}  // namespace graft
