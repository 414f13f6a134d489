#include "kernel_instance.h"

#include <algorithm>
#include <span>

#include "arguments.h"
#include "graft/dtype.h"
#include "graft/error.h"
#include "graft/loaded_plugin.h"
#include "graft/plugin_call.h"
#include "kernel_call.h"
#include "tensor_view.h"

namespace graft {
namespace {

std::string_view device_name(int32_t type) {
  switch (type) {
    case GRAFT_DEVICE_CPU: return "cpu";
    case GRAFT_DEVICE_CUDA: return "cuda";
    case GRAFT_DEVICE_ROCM: return "rocm";
    case GRAFT_DEVICE_METAL: return "metal";
    case GRAFT_DEVICE_XPU: return "xpu";
    default: return "another device";
  }
}

}  // namespace

void check_served(const KernelInstance& instance) {
  const LayerFacts& layer = instance.facts;
  const graft_contract& contract = instance.contract();
  const graft_entry& entry = *instance.kernel.entry;
  const std::string name = "kernel " + instance.kernel.ref.str();
  if (!fulfils(entry, contract.name)) {
    throw Error(ErrorCode::unsupported, name,
                "its contract is " + contract_names(entry) + ", the layer's is " + contract.name,
                "map the layer to an entry with that contract");
  }
  const graft_device device = to_graft(layer.device);
  if (entry.device_type != device.type) {
    throw Error(ErrorCode::unsupported, name,
                "it is for " + std::string(device_name(entry.device_type)) + ", and the layer is on " + layer.device.str(),
                "map one for that device");
  }
  if (const int capability = capability_of(layer.device);
      entry.capability_max != 0 && (capability < entry.capability_min || capability > entry.capability_max)) {
    throw Error(ErrorCode::unsupported, name,
                "it is for compute capabilities " + std::to_string(entry.capability_min) + " to " +
                    std::to_string(entry.capability_max) + " (9.0 being 90), and " + layer.device.str() + " has " + std::to_string(capability),
                "map one for that device");
  }
  const graft_dtype dtype = to_graft(layer.dtype);
  const std::span served_dtypes(entry.dtypes, entry.dtype_count);
  if (std::none_of(served_dtypes.begin(), served_dtypes.end(),
                   [&](graft_dtype d) { return same_dtype(d, dtype); })) {
    std::string served;
    for (graft_dtype d : served_dtypes) served += (served.empty() ? "" : ", ") + dtype_name(d);
    throw Error(ErrorCode::unsupported, name,
                "it serves " + served + "; the layer is in " + dtype_name(dtype),
                "load the model with one of these dtypes, or map another kernel");
  }
  if (contract.argument_count > kMaxArguments) {
    throw Error(ErrorCode::unsupported, name, std::string(contract.name) + " has more than 24 arguments");
  }
}

void create(KernelInstance& instance) {
  const OnDevice on_its_device(instance.facts.device);
  const graft_entry& entry = *instance.kernel.entry;
  const graft_status status = call_plugin([&] {
    return entry.create(&entry, &instance.contract(), to_graft(instance.facts.device),
                        instance.facts.attributes.data(), &instance.made);
  });
  if (status == GRAFT_OK) return;
  instance.made = nullptr;  // nothing was made that destroy() could take
  throw_plugin_error(status, instance.kernel.ref.str(), "create");
}

void prepare(const KernelInstance& instance, const graft_value* arguments) {
  const graft_entry& entry = *instance.kernel.entry;
  if (entry.prepare == nullptr) return;
  const OnDevice on_its_device(instance.facts.device);
  const graft_status status = call_plugin([&] { return entry.prepare(instance.made, arguments); });
  if (status != GRAFT_OK) throw_plugin_error(status, instance.kernel.ref.str(), "prepare");
}

KernelInstance::~KernelInstance() {
  const graft_entry& entry = *kernel.entry;
  if (made == nullptr || entry.destroy == nullptr || plugins_are_gone()) return;
  call_plugin([&] {
    entry.destroy(made);
    return GRAFT_OK;
  });
}

}  // namespace graft
