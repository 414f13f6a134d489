#include "call_watch.h"

namespace graft {

constinit thread_local detail::Observers detail::observers __attribute__((tls_model("initial-exec")));

bool detail::ask_for_observers() {
  constexpr uint32_t kCallsBetween = 31;
  const bool any = at::getStepCallbacksUnlessEmpty(at::RecordScope::FUNCTION).has_value();
  observers = {any ? 0 : kCallsBetween, &at::get_record_function_tls_()};
  return any;
}

// NVTX has the ranges by way of torch: torch::autograd::profiler::enableProfiler(ProfilerConfig(ProfilerState::NVTX), {}, {}) pushes
// what RecordFunction opens, backward's nodes too, once libtorch_cuda is there.
void open_range(at::RecordFunction& range, const std::string& layer, const BoundKernel& kernel,
                std::initializer_list<TensorArg> inputs) {
  const std::string name = "graft::" + layer + " (" + kernel.kernel().ref.str() + ")";
  if (!range.needsInputs()) return range.before(name);
  std::vector<c10::IValue> values;  // for the shapes that a profiler records
  for (const TensorArg& input : inputs) {
    values.push_back(input.get() != nullptr ? c10::IValue(*input.get()) : c10::IValue());
  }
  range.before(name, c10::ArrayRef<const c10::IValue>(values.data(), values.size()));
}

void tell_call(const LayerReport& line, std::chrono::nanoseconds time) {
  event_sink::tell({Event::Kind::call, line.layer, line.module, line.reference, "", std::chrono::duration<double>(time).count()});
}

void tell_error(const LayerReport& line, const std::string& reason) {
  if (event_sink::is_heard()) event_sink::tell({Event::Kind::error, line.layer, line.module, line.reference, reason, 0});
}

}  // namespace graft
