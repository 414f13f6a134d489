// What is seen of a bound kernel's calls from outside: counters, ranges in torch's profiler, events.
#pragma once

#include <ATen/record_function.h>

#include <atomic>
#include <chrono>
#include <optional>

#include "bound_kernel.h"
#include "event_sink.h"
#include "graft/error.h"

namespace graft {

/// A slot's. One thread's calls are counted exactly; see LayerCounters.
class CallCounters {
 public:
  void count(BoundKernel::Outcome outcome) {
    switch (outcome) {
      // Not fetch_add, which locks the line for longer than all else here takes.
      case BoundKernel::Outcome::done: calls_.store(calls_.load(kRelaxed) + 1, kRelaxed); break;
      case BoundKernel::Outcome::unsupported: unsupported_.fetch_add(1, kRelaxed); break;
      case BoundKernel::Outcome::failed: errors_.fetch_add(1, kRelaxed); break;
      case BoundKernel::Outcome::stale:  // it is called again
      case BoundKernel::Outcome::unfit: break;
    }
  }
  void add_time(std::chrono::nanoseconds time) {
    timed_.fetch_add(1, kRelaxed);
    nanoseconds_.fetch_add(uint64_t(time.count()), kRelaxed);
  }
  void reset() {
    for (auto* each : {&calls_, &unsupported_, &errors_, &timed_, &nanoseconds_}) each->store(0, kRelaxed);
  }
  LayerCounters read() const {
    return {calls_.load(kRelaxed), unsupported_.load(kRelaxed), errors_.load(kRelaxed), timed_.load(kRelaxed),
            double(nanoseconds_.load(kRelaxed)) * 1e-9};
  }

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;
  std::atomic<uint64_t> calls_{0}, unsupported_{0}, errors_{0}, timed_{0}, nanoseconds_{0};
};

/// Opens a range for a call in torch's profiler, named by layer and entry: "graft::RMSNorm (graft-kernels/norm:RMSNorm)".
void open_range(at::RecordFunction& range, const std::string& layer, const BoundKernel& kernel,
                std::initializer_list<TensorArg> inputs);
void tell_call(const LayerReport& line, std::chrono::nanoseconds time);
void tell_error(const LayerReport& line, const std::string& reason);

namespace detail {

/// What this thread knows of torch's observers.
struct Observers {
  uint32_t calls_left = 0;  // until torch is asked again
  // Null until torch was asked; then its address stays for the thread's life.
  const at::RecordFunctionTLS* of_thread = nullptr;
};
extern constinit thread_local Observers observers __attribute__((tls_model("initial-exec")));
bool ask_for_observers();

}  // namespace detail

/// Whether somebody looks at calls. To ask torch takes a quarter of a bound call, in its cheapest way
/// (at::hasCallbacks() is three times as slow), and so each call looks for observers of its own thread, as
/// profilers are, and each 32nd for those of all threads.
inline bool is_watched() {
  detail::Observers& known = detail::observers;
  if (known.calls_left-- == 0 || !known.of_thread->sorted_tls_callbacks_.empty()) [[unlikely]]
    if (detail::ask_for_observers()) return true;
  return event_sink::is_heard();
}

/// Runs `call`, which is kernel.call(inputs, …), where somebody looks. `slot` has layer() and report().
template <class Slot, class Call>
BoundKernel::Outcome watched(const Slot& slot, const BoundKernel& kernel, std::initializer_list<TensorArg> inputs,
                             CallCounters& counters, Call&& call) {
  std::optional<at::RecordFunction> range;
  if (auto profiler = at::getStepCallbacksUnlessEmpty(at::RecordScope::FUNCTION))
    open_range(range.emplace(std::move(*profiler)), slot.layer(), kernel, inputs);
  const auto start = std::chrono::steady_clock::now();
  try {
    const BoundKernel::Outcome outcome = call();
    const auto time = std::chrono::steady_clock::now() - start;
    range.reset();
    if (outcome == BoundKernel::Outcome::done) {
      counters.add_time(time);
      if (event_sink::wants_calls()) tell_call(slot.report(), time);
    } else if (outcome == BoundKernel::Outcome::failed) {
      // A callback may run layers, whose failures would take this one's place.
      tell_error(slot.report(), std::string(BoundKernel::failure()));
    }
    return outcome;
  } catch (const Error& error) {
    range.reset();
    if (error.code() == ErrorCode::plugin) tell_error(slot.report(), error.why());
    throw;
  }
}

}  // namespace graft
