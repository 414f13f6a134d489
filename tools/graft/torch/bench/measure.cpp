#include "measure.h"

#include <ATen/ops/empty.h>

#include "graft/dtype.h"
#include "graft/error.h"
#include "graft/kernelize.h"
#include "shape.h"
#include "tensor_view.h"  // of core/binding

namespace graft::bench {
namespace {

// The layer is repeated as in a model, until its weights and inputs are more than most caches hold.
constexpr int64_t kRepeatedBytes = int64_t{256} << 20;
constexpr size_t kMostLayers = 32;

std::vector<LayerData> repeated(LayerData data) {
  const size_t enough = size_t(kRepeatedBytes / std::max<int64_t>(data.bytes(), 1)) + 1;
  std::vector<LayerData> all{std::move(data)};
  while (all.size() < std::min(enough, kMostLayers)) all.push_back(all[0].clone());
  return all;
}

/// Layers as one model, for kernelize: it takes dtype and device from a model's first parameter, and not
/// every layer has one.
class Model : public torch::nn::Module {
 public:
  Model(const LayerKind& kind, const std::vector<LayerData>& data, at::TensorOptions options) {
    register_parameter("first", at::empty({0}, options), /*requires_grad=*/false);
    for (const LayerData& one : data) {
      layers_.push_back(register_module(std::to_string(layers_.size()), kind.make(one)));
    }
    eval();
  }
  const Layers& layers() const { return layers_; }

 private:
  Layers layers_;
};

/// Throws Error(unsupported) if it was not bound.
void bind(Model& model, const Subject& subject, const BenchOptions& options) {
  const std::string layer(subject.kind->contract.substr(0, subject.kind->contract.find('/')));
  Policy policy = Policy::load();
  policy.self_check = false;  // a wrong kernel is to be measured, and shown as such
  const BindReport report = kernelize(
      model, {.mode = Mode::Inference,
              .kernel_config = KernelConfig({{layer, subject.reference}}, {.use_local_kernel = true}),
              .allow_all_kernels = options.allow_all_kernels,
              .use_fallback = false,
              .policy = policy});
  const LayerReport& first = report.layers.at(0);
  if (first.state != LayerState::bound)
    throw Error(ErrorCode::unsupported, "kernel " + subject.reference, first.reason);
}

/// What the kernel computes for a layer; it must never have left a call to the layer's own forward.
Outputs result_of(const Layer& bound, const Subject& subject) {
  Outputs outputs = bound.forward();
  if (bound.own_calls() > 0) {
    throw Error(ErrorCode::unsupported, "kernel " + subject.reference,
                "it leaves this call to the layer's own forward");
  }
  return outputs;
}

int64_t bytes_of(const Outputs& outputs) {
  int64_t sum = 0;
  for (const at::Tensor& output : outputs) sum += output.defined() ? int64_t(output.nbytes()) : 0;
  return sum;
}

}  // namespace

Case measure(const Subject& subject, const Sizes& shape, at::ScalarType dtype, const Machine& machine,
             const BenchOptions& options, const std::stop_token& stop) {
  const LayerKind& kind = *subject.kind;
  const graft_contract& contract = *ContractRegistry::shared().find(kind.contract);
  Case found;
  found.entry = subject.entry;
  found.contract = kind.contract;
  found.shape = to_text(shape);
  found.dtype = dtype_name(to_graft(dtype));
  const auto tolerance = tolerance_of(contract, to_graft(dtype), *subject.promises);
  if (!tolerance) {
    throw Error(ErrorCode::unsupported, "contract " + std::string(contract.name),
                "states no tolerance for " + dtype_name(to_graft(dtype)), "choose another --dtype");
  }
  found.tolerance = *tolerance;

  Draw draw(dtype, machine.device);
  LayerData data = kind.data(shape, draw);
  int64_t bytes = data.bytes();
  const Outputs reference = kind.make(data.in_double())->forward();
  check(stop);

  const std::vector<LayerData> all = repeated(std::move(data));
  const at::TensorOptions as_layers = at::TensorOptions(machine.device).dtype(dtype);
  const Model own(kind, all, as_layers);
  Model bound(kind, all, as_layers);
  try {
    bind(bound, subject, options);
    const Outputs results = result_of(*bound.layers().front(), subject);
    found.error = deviation(results, reference, found.tolerance);
    found.own_error = deviation(own.layers().front()->forward(), reference, found.tolerance);
    bytes += bytes_of(results);
    found.timing = time_in_turns(own.layers(), bound.layers(), machine.device, options.seconds, stop);
    // Again after many calls, and of another layer with the same weights: a kernel may spoil its own state.
    const Outputs later = result_of(*bound.layers().back(), subject);
    found.error = larger(found.error, deviation(later, reference, found.tolerance));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::plugin) throw;
    found.failure = error.why();
    return found;
  }
  found.ratio = found.timing.own.median / found.timing.kernel.median;
  found.gb_s = double(bytes) / found.timing.kernel.median / 1e3;  // bytes per µs are MB/s
  found.bandwidth_share = found.gb_s / machine.bandwidth_gb_s;
  return found;
}

}  // namespace graft::bench
