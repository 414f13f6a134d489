#include "weights.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>
#include <c10/util/accumulate.h>
#include <sys/mman.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <sstream>

#include "file_pages.h"
#include "graft/error.h"
#include "graft/thread_pool.h"

namespace graft {
namespace {

at::ScalarType to_torch(SafetensorsDType dtype, const std::string& tensor) {
  switch (dtype) {
    case SafetensorsDType::F32: return at::kFloat;
    case SafetensorsDType::BF16: return at::kBFloat16;
    case SafetensorsDType::F16: return at::kHalf;
    case SafetensorsDType::F64: return at::kDouble;
    default:
      throw Error(ErrorCode::unsupported, "tensor " + tensor,
                  "its dtype is " + std::string(name(dtype)) + ", and weights are F32, BF16, F16 or F64",
                  "use a checkpoint that is not quantised");
  }
}

std::string text(at::IntArrayRef shape) {
  std::ostringstream out;
  out << shape;
  return out.str();
}

at::Tensor without_data(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) try {
  return at::empty(shape, at::TensorOptions(c10::kMeta).dtype(dtype));
} catch (const c10::Error&) {  // bytes that no 64-bit number holds
  throw Error(ErrorCode::corrupt, "tensor " + name, "config.json leads to the shape " + text(shape) + ", which is too large",
              "check its sizes");
}

constexpr size_t kAlignment = 64;  // bytes: a cache line, as torch's own allocator gives

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// Memory of the system's own, which takes none until it is written.
std::shared_ptr<std::byte> map_memory(size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error(ErrorCode::io, "memory for weights", std::to_string(bytes >> 20) + " MiB are not to be had",
                "use a smaller model or dtype, or a machine with more memory");
  }
  return {static_cast<std::byte*>(memory), [bytes](std::byte* p) { ::munmap(p, bytes); }};
}

/// Through the mapping and in pieces, so that little of the file is in memory at a time; converted on the device.
at::Tensor copy_to(c10::Device device, const TensorView& view, at::ScalarType stored, at::IntArrayRef shape, at::ScalarType dtype) {
  constexpr int64_t kPiece = 1 << 24;  // elements
  const at::Tensor weight = at::empty(shape, at::TensorOptions(device).dtype(dtype));
  if (device.is_meta()) return weight;
  const at::Tensor flat = weight.view(-1);
  const auto item = int64_t(c10::elementSize(stored));
  for (int64_t begin = 0; begin < flat.numel(); begin += kPiece) {
    const int64_t count = std::min(kPiece, flat.numel() - begin);
    // As bytes: they may be misaligned in the file.
    const at::Tensor bytes = at::from_blob(const_cast<std::byte*>(view.data) + begin * item, count * item, at::kByte);
    flat.narrow(0, begin, count).copy_(bytes.to(device).view(stored));
    release_pages(bytes);
  }
  return weight;
}

}  // namespace

Weights::Weights(std::shared_ptr<const Checkpoint> checkpoint, std::optional<at::ScalarType> dtype)
    : checkpoint_(std::move(checkpoint)) {
  const std::vector<std::string>& names = checkpoint_->names();
  dtype_ = dtype.has_value() || names.empty() ? dtype.value_or(at::kFloat)
                                              : to_torch(checkpoint_->tensor(names[0]).dtype, names[0]);
}

at::Tensor Weights::take(const std::string& name, at::IntArrayRef shape) {
  if (checkpoint_ == nullptr) return without_data(name, shape, dtype_);
  const TensorView& view = checkpoint_->tensor(name);
  if (at::IntArrayRef(view.shape) != shape) {
    throw Error(ErrorCode::corrupt, "tensor " + name,
                "its shape is " + text(view.shape) + ", and config.json leads to " + text(shape),
                "take config.json and weights from the same repository");
  }
  taken_.insert(name);
  const at::ScalarType stored = to_torch(view.dtype, name);
  if (const c10::Device device = device_for(name); !device.is_cpu()) return copy_to(device, view, stored, shape, dtype_);
  if (stored == dtype_ && view.aligned()) {
    // from_blob wants a non-const pointer; the checkpoint is opened copy_on_write, so that writing is allowed.
    return at::from_blob(const_cast<std::byte*>(view.data), shape, [keep = checkpoint_](void*) {}, at::TensorOptions(stored));
  }
  const int64_t count = c10::multiply_integers(shape);
  const std::shared_ptr<std::byte> place = place_for(size_t(count) * c10::elementSize(dtype_));
  unread_.push_back({&checkpoint_->file_of(name), &view, stored, place, unread_elements_});
  unread_elements_ += count;
  return at::from_blob(place.get(), shape, [place](void*) {}, at::TensorOptions(dtype_));
}

c10::Device Weights::device_for(const std::string& name) const {
  const c10::Device* device = find_device(devices_, name.substr(0, name.rfind('.')));
  return device != nullptr ? *device : c10::kCPU;
}

std::shared_ptr<std::byte> Weights::place_for(size_t bytes) {
  if (memory_ == nullptr || memory_used_ + aligned(bytes) > memory_size_) {
    // At first for all that may come; a tensor that is taken twice may need more.
    memory_size_ = aligned(bytes);
    for (const std::string& name : checkpoint_->names()) {
      const TensorView& view = checkpoint_->tensor(name);
      if (!taken_.contains(name) && device_for(name).is_cpu()) memory_size_ += aligned(view.bytes / item_size(view.dtype) * c10::elementSize(dtype_));
    }
    memory_ = map_memory(std::max(memory_size_, kAlignment));
    memory_used_ = 0;
  }
  memory_used_ += aligned(bytes);
  return {memory_, memory_.get() + memory_used_ - aligned(bytes)};
}

void Weights::read(int64_t begin, int64_t end) const {
  constexpr int64_t kPiece = 1 << 14;  // elements: they stay in a core's cache, and torch takes no more threads for them
  const size_t item = c10::elementSize(dtype_);
  auto unread = std::upper_bound(unread_.begin(), unread_.end(), begin,
                                 [](int64_t at, const Unread& tensor) { return at < tensor.begin; }) - 1;
  for (; begin < end; ++unread) {
    const size_t stored_item = c10::elementSize(unread->stored);
    const int64_t last = std::min(end, unread->begin + int64_t(unread->view->bytes / stored_item));
    for (int64_t count; begin < last; begin += count) {
      count = std::min(kPiece, last - begin);
      const at::Tensor buffer = at::empty(count, unread->stored);
      const auto at = size_t(begin - unread->begin);
      unread->file->read(*unread->view, at * stored_item,
                         {static_cast<std::byte*>(buffer.mutable_data_ptr()), size_t(count) * stored_item});
      at::from_blob(unread->place.get() + at * item, count, at::TensorOptions(dtype_)).copy_(buffer);
    }
  }
}

void Weights::finish() {
  struct Job {
    const Weights* weights;
    std::mutex mutex;
    std::exception_ptr failure;
  } job{this, {}, nullptr};
  const auto body = [](void* data, int64_t begin, int64_t end, uint32_t) {
    Job& job = *static_cast<Job*>(data);
    try {
      job.weights->read(begin, end);
    } catch (...) {
      const std::lock_guard lock(job.mutex);
      job.failure = std::current_exception();
    }
  };
  constexpr int64_t kLeastForAThread = 1 << 18;  // elements, about 100 µs
  ThreadPool::shared().parallel_for(unread_elements_, kLeastForAThread, body, &job);
  if (job.failure) std::rethrow_exception(job.failure);
  unread_.clear();
  unread_elements_ = 0;
}

std::vector<std::string> Weights::left_over() const {
  std::vector<std::string> names;
  if (checkpoint_ == nullptr) return names;
  for (const std::string& name : checkpoint_->names()) {
    if (!taken_.contains(name)) names.push_back(name);
  }
  return names;
}

}  // namespace graft
