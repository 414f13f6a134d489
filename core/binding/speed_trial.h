// SpeedTrial: which is faster for inputs of a size, a kernel or the own forward of the layers that it is
// bound onto. See graft/kernel_policy.h for what it promises.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <typeindex>
#include <vector>

#include "graft/attributes.h"
#include "graft/bind_report.h"
#include "graft/kernel_slot.h"

namespace graft {

class BoundKernel;
class SlotState;

/// Of layers alike. Any number of threads; keeps() takes no lock.
class SpeedTrial {
 public:
  enum class Side : uint8_t { kernel, own };
  enum class Keeps : uint8_t { open, kernel, own };
  using Clock = std::chrono::steady_clock;

  explicit SpeedTrial(c10::Device device) : device_(device) {}

  /// The time, once what this thread enqueued on the layers' device has run.
  Clock::time_point now() const;

  /// What inputs of one size have in common, as a hash: a collision would only let one finding serve both.
  static uint64_t class_of(std::initializer_list<TensorArg> inputs);

  Keeps keeps(uint64_t inputs_class) const {
    const size_t count = count_.load(std::memory_order_acquire);
    for (size_t i = 0; i < count; ++i) {
      if (classes_[i].key == inputs_class) return classes_[i].keeps.load(std::memory_order_relaxed);
    }
    if (count < kMostClasses) return Keeps::open;
    return all_own_.load(std::memory_order_relaxed) ? Keeps::own : Keeps::kernel;
  }

  /// Whose turn a call is whose class is open.
  Side next(uint64_t inputs_class, std::initializer_list<TensorArg> inputs);
  void kernel_ran(uint64_t inputs_class, Clock::duration time) {
    record(inputs_class, Side::kernel, time, /*disturbed=*/false);
  }
  /// The own forward runs next on this thread, until an OwnTimer goes. The trial must live until then.
  void begin_own(uint64_t inputs_class);
  /// One side cannot run these inputs: they go the way they go without a trial.
  void give_up(uint64_t inputs_class);

  /// How many classes are settled: another number, and the layers' lines are others.
  uint32_t findings() const { return findings_.load(std::memory_order_relaxed); }
  /// Adds to a bound layer's line what was found.
  void tell(LayerReport& line) const;

 private:
  friend class OwnTimer;
  static constexpr size_t kMostClasses = 8;
  static constexpr int kTimed = 5;
  /// So often a side's time is not taken because of what else ran in it; afterwards it is.
  static constexpr int kMostDisturbed = 32;

  struct Times {
    int calls = 0, disturbed = 0;
    Clock::duration shortest = Clock::duration::max();  // without the first one
    bool known() const { return calls > kTimed; }
  };
  struct ShapeClass {
    uint64_t key = 0;
    std::atomic<Keeps> keeps = Keeps::open;
    std::string shapes;  // of the first one seen
    std::array<Times, 2> times;
  };
  void record(uint64_t inputs_class, Side side, Clock::duration time, bool disturbed);
  void settle(ShapeClass& inputs, Keeps keeps);
  ShapeClass* find(uint64_t inputs_class);

  const c10::Device device_;
  mutable std::mutex mutex_;  // of writers, and of what is not atomic
  std::array<ShapeClass, kMostClasses> classes_;
  std::atomic<size_t> count_ = 0;
  std::atomic<bool> all_own_ = false;
  std::atomic<uint32_t> findings_ = 0;
};

// Here, since it stands on the way of each call.
inline uint64_t SpeedTrial::class_of(std::initializer_list<TensorArg> inputs) {
  constexpr uint64_t kFactor = 0x9E3779B97F4A7C15, kTensor = 128, kAbsent = 127;  // bit widths are at most 64
  uint64_t key = 0;
  for (const TensorArg& input : inputs) {
    if (input.get() == nullptr) {
      key = key * kFactor + kAbsent;
      continue;
    }
    const c10::TensorImpl& impl = *input.get()->unsafeGetTensorImpl();
    key = key * kFactor + kTensor + uint64_t(impl.dtype().toScalarType());
    for (const int64_t size : impl.sizes()) key = key * kFactor + uint64_t(std::bit_width(uint64_t(size)));
  }
  return key;
}

/// The trials of one kernelize(). One thread.
class SpeedTrials {
 public:
  /// That of all layers like this one. Null for a kernel that is not timed: `why` says so then.
  std::shared_ptr<SpeedTrial> of(const SlotState& layer, const BoundKernel& kernel, std::string& why);

 private:
  using Kind =
      std::tuple<std::type_index, const void*, const void*, Attributes, std::vector<std::vector<int64_t>>>;
  std::map<Kind, std::shared_ptr<SpeedTrial>> trials_;
};

}  // namespace graft
