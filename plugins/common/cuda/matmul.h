// Products of row-major matrices on cuBLASLt: float32, bfloat16 and float16, sums in float32 (float32 without TF32).
//
//   multiply(products, rows(x), transposed(weight), out);      out[M, N]  = x[M, K] @ weight[N, K]^T
//   multiply(products, rows(grad), rows(weight), grad_x);      [M, K]     = grad[M, N] @ weight[N, K]
//   multiply(products, transposed(grad), rows(x), grad_w);     [N, K]     = grad[M, N]^T @ x[M, K]
#pragma once

#include <type_traits>

#include "matmul_plan.h"
#include "relaxed_capture.h"

namespace graft::gpu {

// A row-major matrix; `stride` is the distance of rows in elements, at least `columns`.
template <class T>
struct Matrix {
  T* data;
  int64_t rows, columns, stride;

  Matrix(T* data, int64_t rows, int64_t columns, int64_t stride) : data(data), rows(rows), columns(columns), stride(stride) {}
  Matrix(T* data, int64_t rows, int64_t columns) : Matrix(data, rows, columns, columns) {}
  template <class U>
  requires(std::is_same_v<const U, T>) Matrix(const Matrix<U>& other)
      : Matrix(other.data, other.rows, other.columns, other.stride) {}

  Matrix rows_from(int64_t row, int64_t count) const { return {data + row * stride, count, columns, stride}; }
};

// An operand of a product, as it is or transposed.
template <class T>
struct Operand {
  Matrix<const T> matrix;
  bool transposed;
  int64_t rows() const { return transposed ? matrix.columns : matrix.rows; }
  int64_t columns() const { return transposed ? matrix.rows : matrix.columns; }
};
template <class T>
Operand<std::remove_const_t<T>> rows(const Matrix<T>& matrix) {
  return {matrix, false};
}
template <class T>
Operand<std::remove_const_t<T>> transposed(const Matrix<T>& matrix) {
  return {matrix, true};
}

// Where a call's products run. `workspace`: kMatmulWorkspace bytes, which one product after the other uses.
struct Products {
  Stream stream;
  int device;  // current
  void* workspace;

  Products(const plugin::Call& call, void* workspace)
      : stream(gpu_stream(call)), device(call.device().id), workspace(workspace) {}
};

// Throws plugin::Unsupported where cuBLASLt is missing: what supports() asks.
inline void require_products() {
  CublasLt::get();
}

template <class T>
inline constexpr cudaDataType_t kCudaDataType = std::is_same_v<T, bf16>   ? CUDA_R_16BF
                                                : std::is_same_v<T, half> ? CUDA_R_16F
                                                                          : CUDA_R_32F;

namespace detail {

inline Stored stored(const void* data, int64_t rows, int64_t columns, int64_t stride, bool transposed) {
  // A single row may have any stride; cuBLASLt wants one that covers it.
  return {data, rows, columns, rows == 1 ? std::max(stride, columns) : stride, transposed};
}

inline void multiply(const Products& products, MatmulKey key, const Stored& a, const Stored& b, const Stored& out, float beta) {
  key.device = products.device;
  key.a_stride = a.stride, key.b_stride = b.stride, key.out_stride = out.stride;
  key.transposed = uint8_t(a.transposed | b.transposed << 1);
  key.a_alignment = alignment_of(a.data), key.b_alignment = alignment_of(b.data), key.out_alignment = alignment_of(out.data);
  void* to = const_cast<void*>(out.data);
  MatmulPlans& plans = MatmulPlans::shared();
  if (const auto plan = plans.find(key)) return plan->run(products.stream, a.data, b.data, to, beta, products.workspace);

  const RelaxedCapture relaxed;
  const auto plan = std::make_shared<const MatmulPlan>(key, a, b, out);
  plan->run(products.stream, a.data, b.data, to, beta, products.workspace);
  plans.keep(key, plan);
}

}  // namespace detail

// out = a @ b + beta * out. R is T, or float for a result that is not rounded.
template <class T, class R>
void multiply(const Products& products, const Operand<T>& a, const Operand<T>& b, const Matrix<R>& out, float beta = 0) {
  static_assert(std::is_same_v<R, T> || std::is_same_v<R, float>);
  if (a.columns() != b.rows() || a.rows() != out.rows || b.columns() != out.columns)
    throw std::invalid_argument("shapes of a product do not fit each other");
  if (out.rows == 0 || out.columns == 0) return;
  if (a.columns() == 0) {  // an empty sum
    if (beta == 0)
      cudaMemset2DAsync(out.data, size_t(out.stride) * sizeof(R), 0, size_t(out.columns) * sizeof(R), size_t(out.rows),
                        products.stream);
    return check_launch();
  }
  MatmulKey key{};
  key.rows = out.rows, key.depth = a.columns(), key.columns = out.columns;
  key.dtype = uint8_t(kCudaDataType<T>), key.out_dtype = uint8_t(kCudaDataType<R>);
  const auto stored = [](const Operand<T>& operand) {
    const Matrix<const T>& matrix = operand.matrix;
    return detail::stored(matrix.data, matrix.rows, matrix.columns, matrix.stride, operand.transposed);
  };
  detail::multiply(products, key, stored(a), stored(b), detail::stored(out.data, out.rows, out.columns, out.stride, false), beta);
}

}  // namespace graft::gpu
