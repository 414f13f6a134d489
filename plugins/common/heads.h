// Heads: the rows of a tensor "B H T D" (or "B T D", with one head for all) whose last dimension is
// contiguous.
#pragma once

#include <graft/plugin.hpp>
#include <utility>

namespace graft {

template <class T>
struct Heads {
  T* data;
  int64_t batch_stride, head_stride, token_stride;

  // A batch of 1 serves any batch.
  explicit Heads(const plugin::Tensor& tensor)
      : data(tensor.data<T>()),
        batch_stride(tensor.size(0) == 1 ? 0 : tensor.stride(0)),
        head_stride(tensor.ndim() == 4 ? tensor.stride(1) : 0),
        token_stride(tensor.stride(-2)) {}

  // Of a tensor "B T H D".
  static Heads tokens_first(const plugin::Tensor& tensor) {
    Heads heads(tensor);
    std::swap(heads.head_stride, heads.token_stride);
    return heads;
  }

  // Of a tensor "N H D" that holds sequences one behind the other: the one that begins at `token`.
  static Heads packed(const plugin::Tensor& tensor, int64_t token) {
    return Heads(tensor.data<T>() + token * tensor.stride(0), 0, tensor.stride(1), tensor.stride(0));
  }

  // Constexpr: kernels on a GPU call it too.
  constexpr T* row(int64_t batch, int64_t head, int64_t token) const {
    return data + batch * batch_stride + head * head_stride + token * token_stride;
  }

  // Whether every row begins at a multiple of `bytes`.
  bool aligned(size_t bytes) const {
    const int64_t size = sizeof(T), unit = int64_t(bytes);
    return reinterpret_cast<uintptr_t>(data) % bytes == 0 && batch_stride * size % unit == 0 &&
           head_stride * size % unit == 0 && token_stride * size % unit == 0;
  }

  // Of rows anywhere.
  Heads(T* data, int64_t batch_stride, int64_t head_stride, int64_t token_stride)
      : data(data), batch_stride(batch_stride), head_stride(head_stride), token_stride(token_stride) {}
};

}  // namespace graft
