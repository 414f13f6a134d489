#include "windows.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "graft/error.h"

Windows::Windows(std::vector<int64_t> ids, int64_t length) : ids_(std::move(ids)), length_(length) {
  if (count() > 0) return;
  throw graft::Error(graft::ErrorCode::invalid_argument, "the text",
                     "it has " + std::to_string(ids_.size()) + " tokens, and a row " + std::to_string(length),
                     "give a longer text, or a shorter --sequence-length");
}

at::Tensor Windows::batch(int64_t step, int64_t batch) const {
  at::Tensor rows = at::empty({batch, length_}, at::TensorOptions(at::kLong));
  for (int64_t row = 0; row < batch; ++row) {
    const int64_t window = (step * batch + row) % count();
    std::copy_n(ids_.begin() + window * length_, length_, rows.mutable_data_ptr<int64_t>() + row * length_);
  }
  return rows;
}
