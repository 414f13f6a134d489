// What a model keeps to decode on a device: see device_decode.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "device_decode.h"
#include "graft/pretrained_model.h"

namespace graft {

/// Those that no generate() uses at the moment. Thread-safe.
struct PreTrainedModel::DeviceDecodes {
  static constexpr size_t kMost = 4;  // each holds a KV cache

  /// One that fits, if there is one. `parameters`: where the model's are now: what was made for others is dropped.
  std::unique_ptr<DeviceDecode> take(std::vector<const void*> parameters, int64_t batch, int64_t capacity, const Sampling& sampling,
                                     uint64_t& epoch) {
    const std::lock_guard lock(mutex);
    if (parameters != made_for) {
      idle.clear();
      made_for = std::move(parameters);
      ++now;
    }
    epoch = now;
    for (auto each = idle.begin(); each != idle.end(); ++each) {
      if (!(*each)->fits(batch, capacity, sampling)) continue;
      std::unique_ptr<DeviceDecode> taken = std::move(*each);
      idle.erase(each);
      return taken;
    }
    return nullptr;
  }
  /// `epoch`: that it was taken in. One from before a change is dropped.
  void give_back(std::unique_ptr<DeviceDecode> decode, uint64_t epoch) {
    const std::lock_guard lock(mutex);
    if (epoch != now) return;
    idle.push_back(std::move(decode));
    if (idle.size() > kMost) idle.erase(idle.begin());
  }
  /// While kernels are bound anew: at its end, also by an exception, all that was made for those before is dropped.
  class Renewal {
   public:
    explicit Renewal(DeviceDecodes& decodes) : decodes_(decodes) {}
    ~Renewal() { decodes_.clear(); }
    Renewal(const Renewal&) = delete;

   private:
    DeviceDecodes& decodes_;
  };

  /// Drops all that is idle, and what a generate() still uses when that gives it back.
  void clear() {
    const std::lock_guard lock(mutex);
    idle.clear();
    why_not.clear();
    ++now;
  }

  void note(std::string why) {
    const std::lock_guard lock(mutex);
    why_not = std::move(why);
  }
  std::string noted() {
    const std::lock_guard lock(mutex);
    return why_not;
  }

 private:
  std::mutex mutex;
  std::vector<std::unique_ptr<DeviceDecode>> idle;
  std::vector<const void*> made_for;
  uint64_t now = 0;
  std::string why_not;  // why the last generate() on a device did without, or without a graph
};

}  // namespace graft
