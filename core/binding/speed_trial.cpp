#include "speed_trial.h"

#include <torch/nn/module.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <typeinfo>

#include "bound_kernel.h"
#include "kernel_call.h"
#include "slot_state.h"

namespace graft {
namespace {

struct OwnTurn {
  SpeedTrial* trial;
  uint64_t inputs_class;
  uint64_t turns;  // this thread's, when it began
  int exceptions;  // under way, when it began
  SpeedTrial::Clock::time_point start;
};

thread_local std::vector<OwnTurn> own_turns;  // one within the other
thread_local uint64_t turns = 0;

std::string shapes_of(std::initializer_list<TensorArg> inputs) {
  std::vector<std::string> shapes;
  for (const TensorArg& input : inputs) {
    if (input.get() == nullptr) continue;
    std::string shape;
    for (const int64_t size : input.get()->sizes())
      shape += (shape.empty() ? "" : ", ") + std::to_string(size);
    shape = "[" + shape + "]";
    if (std::find(shapes.begin(), shapes.end(), shape) == shapes.end()) shapes.push_back(shape);
  }
  std::string text;
  for (const std::string& shape : shapes) text += (text.empty() ? "" : ", ") + shape;
  return text;
}

std::string duration(double seconds) {
  char text[32];
  if (seconds < 1e-3) {
    std::snprintf(text, sizeof text, "%.*f µs", seconds < 1e-6 ? 2 : 1, seconds * 1e6);
  } else {
    std::snprintf(text, sizeof text, "%.1f ms", seconds * 1e3);
  }
  return text;
}

}  // namespace

SpeedTrial::Clock::time_point SpeedTrial::now() const {
  if (!device_.is_cpu()) current_stream(device_).synchronize();
  return Clock::now();
}

SpeedTrial::ShapeClass* SpeedTrial::find(uint64_t inputs_class) {
  const auto end = classes_.begin() + ptrdiff_t(count_.load(std::memory_order_relaxed));
  const auto found =
      std::find_if(classes_.begin(), end, [&](const ShapeClass& each) { return each.key == inputs_class; });
  return found != end ? &*found : nullptr;
}

SpeedTrial::Side SpeedTrial::next(uint64_t inputs_class, std::initializer_list<TensorArg> inputs) {
  ++turns;
  const std::lock_guard lock(mutex_);
  ShapeClass* known = find(inputs_class);
  if (known == nullptr) {
    const size_t count = count_.load(std::memory_order_relaxed);
    if (count == kMostClasses) return Side::kernel;  // another thread took the last place
    known = &classes_[count];
    known->key = inputs_class;
    known->shapes = shapes_of(inputs);
    count_.store(count + 1, std::memory_order_release);
  }
  const auto& [kernel, own] = known->times;
  return own.calls < kernel.calls ? Side::own : Side::kernel;
}

void SpeedTrial::record(uint64_t inputs_class, Side side, Clock::duration time, bool disturbed) {
  const std::lock_guard lock(mutex_);
  ShapeClass* known = find(inputs_class);
  if (known == nullptr || known->keeps != Keeps::open) return;
  Times& times = known->times[size_t(side)];
  if (disturbed && times.disturbed++ < kMostDisturbed) return;
  if (times.calls++ > 0) times.shortest = std::min(times.shortest, time);
  const auto& [kernel, own] = known->times;
  if (kernel.known() && own.known())
    settle(*known, own.shortest < kernel.shortest ? Keeps::own : Keeps::kernel);
}

void SpeedTrial::settle(ShapeClass& inputs, Keeps keeps) {
  inputs.keeps.store(keeps, std::memory_order_relaxed);
  const auto end = classes_.begin() + ptrdiff_t(count_.load(std::memory_order_relaxed));
  all_own_ =
      std::none_of(classes_.begin(), end, [](const ShapeClass& each) { return each.keeps == Keeps::kernel; });
  findings_.fetch_add(1, std::memory_order_relaxed);
}

void SpeedTrial::give_up(uint64_t inputs_class) {
  const std::lock_guard lock(mutex_);
  ShapeClass* known = find(inputs_class);
  if (known != nullptr && known->keeps == Keeps::open) settle(*known, Keeps::kernel);
}

void SpeedTrial::begin_own(uint64_t inputs_class) {
  own_turns.push_back({this, inputs_class, turns, std::uncaught_exceptions(), {}});
  own_turns.back().start = now();
}

void OwnTimer::stop() noexcept {
  const OwnTurn turn = own_turns.back();
  own_turns.pop_back();
  try {
    if (std::uncaught_exceptions() == turn.exceptions) {
      const auto end = turn.trial->now();
      return turn.trial->record(turn.inputs_class, SpeedTrial::Side::own, end - turn.start,
                                /*disturbed=*/turns != turn.turns);
    }
  } catch (const c10::Error&) {  // the device is lost, which the next call will say
  }
  turn.trial->give_up(turn.inputs_class);
}

void SpeedTrial::tell(LayerReport& line) const {
  const std::lock_guard lock(mutex_);
  const size_t count = count_.load(std::memory_order_relaxed);
  for (size_t i = 0; i < count; ++i) {
    const ShapeClass& inputs = classes_[i];
    const auto& [kernel, own] = inputs.times;
    if (!kernel.known() || !own.known()) continue;
    const auto seconds = [](const Times& times) {
      return std::chrono::duration<double>(times.shortest).count();
    };
    const bool keeps_kernel = inputs.keeps == Keeps::kernel;
    line.timings.push_back({inputs.shapes, seconds(kernel), seconds(own), keeps_kernel});
    const std::string times_of_kernel = duration(seconds(kernel)), times_of_own = duration(seconds(own));
    line.reason += line.reason.empty() ? "" : "; ";
    line.reason += keeps_kernel ? "faster than the layer's own: " + times_of_kernel + " beside " +
                                      times_of_own + " for " + inputs.shapes
                                : "own forward is faster for " + inputs.shapes + ": " + times_of_own +
                                      " beside " + times_of_kernel;
  }
  if (!line.timings.empty() && all_own_) line.state = LayerState::fallback;
}

std::shared_ptr<SpeedTrial> SpeedTrials::of(const SlotState& layer, const BoundKernel& kernel,
                                            std::string& why) {
  const LayerFacts& facts = kernel.facts();
  const char* because = nullptr;
  if (!layer.options().has_own_forward) because = "the layer has no other way to do this";
  if (!facts.operator_kernel.empty()) because = "not with TorchCompile";
  if (facts.chain != nullptr) because = "not for a fusion";
  if (because != nullptr) {
    why.assign("not timed beside the layer's own forward, as kernel_policy fastest asks: ").append(because);
    return nullptr;
  }

  std::vector<std::vector<int64_t>> weights;
  for (const at::Tensor& weight : facts.weights) {
    weights.emplace_back();
    if (!weight.defined()) continue;
    weights.back().push_back(int64_t(weight.scalar_type()));
    weights.back().insert(weights.back().end(), weight.sizes().begin(), weight.sizes().end());
  }
  const torch::nn::Module& owner = *layer.owner();
  std::shared_ptr<SpeedTrial>& trial = trials_[{typeid(owner), kernel.kernel().entry, facts.plan,
                                                layer.options().attributes, std::move(weights)}];
  if (trial == nullptr) trial = std::make_shared<SpeedTrial>(facts.device);
  return trial;
}

}  // namespace graft
