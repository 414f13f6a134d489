#include "weights.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>

#include <sstream>

#include "graft/error.h"

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
  const auto options = at::TensorOptions().dtype(to_torch(view.dtype, name));
  // from_blob wants a non-const pointer; the checkpoint is opened copy_on_write, so that writing is allowed.
  at::Tensor tensor = at::from_blob(
      const_cast<std::byte*>(view.data), shape, [keep = checkpoint_](void*) {}, options);
  if (!view.aligned()) tensor = tensor.clone();
  return tensor.scalar_type() == dtype_ ? tensor : tensor.to(dtype_);
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
