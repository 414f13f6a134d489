// Rows: the rows of a tensor "... H" whose last dimension is contiguous, whatever the strides of the others.
#pragma once

#include <graft/plugin.hpp>

namespace graft {

// How many rows x has, also where its strides are more than Rows takes. A tensor without dimensions is one.
inline int64_t row_count(const plugin::Tensor& x) {
  int64_t rows = 1;
  for (int i = 0; i + 1 < x.ndim(); ++i) rows *= x.size(i);
  return rows;
}

// T is the element type. Cheap to copy; a row's address costs one multiplication if the leading dimensions
// collapse into one, as they do unless the tensor is a slice or a transpose. What is constexpr serves kernels on a GPU too.
template <class T>
class Rows {
 public:
  // A tensor without dimensions is a row of one.
  explicit Rows(const plugin::Tensor& tensor)
      : data_(tensor.data<T>()), width_(tensor.ndim() == 0 ? 1 : tensor.size(-1)) {
    for (int i = tensor.ndim() - 2; i >= 0; --i) {
      const int64_t size = tensor.size(i), stride = tensor.stride(i);
      count_ *= size;
      if (size == 1) continue;
      if (dims_ > 0 && stride == stride_[dims_ - 1] * size_[dims_ - 1]) {
        size_[dims_ - 1] *= size;
        continue;
      }
      if (dims_ == kMaxDims)
        throw plugin::Unsupported("more than 8 leading dimensions with strides of their own");
      size_[dims_] = size;
      stride_[dims_++] = stride;
    }
  }

  // `count` rows at data + i * stride.
  Rows(T* data, int64_t count, int64_t width, int64_t stride)
      : data_(data), width_(width), count_(count), dims_(1) {
    size_[0] = count;
    stride_[0] = stride;
  }

  constexpr int64_t count() const { return count_; }
  constexpr int64_t width() const { return width_; }
  constexpr T* operator[](int64_t row) const {
    if (dims_ <= 1) return data_ + row * stride_[0];
    int64_t offset = 0;
#if defined(__CUDA_ARCH__) || defined(__HIP_DEVICE_COMPILE__)
#pragma unroll 1  // divisions of 64 bits, again and again, would be most of a kernel's code
#endif
    for (int i = 0; i < dims_; ++i) {
      offset += row % size_[i] * stride_[i];
      row /= size_[i];
    }
    return data_ + offset;
  }

  // Rows [begin, begin + count), where they are evenly spaced.
  Rows part(int64_t begin, int64_t count) const { return Rows((*this)[begin], count, width_, stride()); }

  // Whether row i begins at i * stride(); a single row always does.
  bool evenly_spaced() const { return dims_ <= 1; }
  int64_t stride() const { return stride_[0]; }

  // Whether every row begins at a multiple of `bytes`.
  bool aligned(size_t bytes) const {
    bool is = reinterpret_cast<uintptr_t>(data_) % bytes == 0;
    for (int i = 0; i < dims_; ++i) is = is && stride_[i] * int64_t(sizeof(T)) % int64_t(bytes) == 0;
    return is;
  }

 private:
  static constexpr int kMaxDims = 8;
  T* data_;
  int64_t width_;
  int64_t count_ = 1;
  int dims_ = 0;
  int64_t size_[kMaxDims] = {};
  int64_t stride_[kMaxDims] = {};  // innermost first
};

}  // namespace graft
