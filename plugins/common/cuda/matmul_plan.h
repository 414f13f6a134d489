// How one shape of product is multiplied: descriptors and the algorithm that cuBLASLt's heuristic names first. Asking costs tens
// of microseconds, a plan that is known costs one look-up.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "cublaslt.h"

namespace graft::gpu {

// Workspace of one product, bytes. Source: what cuBLAS advises for Hopper.
inline constexpr size_t kMatmulWorkspace = size_t{32} << 20;

// A matrix as it lies in memory: `columns` contiguous elements, `rows` times at a distance of `stride` elements.
struct Stored {
  const void* data;
  int64_t rows, columns, stride;
  bool transposed = false;  // enters the product as its transpose
};

// All that the choice of an algorithm depends on. `a`, `b` and `out` are row-major, out = a @ b.
struct MatmulKey {
  int64_t rows, depth, columns, a_stride, b_stride, out_stride;
  int32_t device;
  uint8_t dtype, out_dtype;                         // cudaDataType_t
  uint8_t transposed;                               // bit 0: a, bit 1: b
  uint8_t a_alignment, b_alignment, out_alignment;  // log2 of bytes
  bool operator==(const MatmulKey&) const = default;
};

struct MatmulKeyHash {
  size_t operator()(const MatmulKey& key) const {
    uint64_t hash = uint64_t(uint32_t(key.device));
    const auto mix = [&hash](uint64_t value) {
      hash = (hash ^ value) * 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio
      hash ^= hash >> 32;
    };
    mix(uint64_t(key.rows)), mix(uint64_t(key.depth)), mix(uint64_t(key.columns));
    mix(uint64_t(key.a_stride)), mix(uint64_t(key.b_stride)), mix(uint64_t(key.out_stride));
    mix(uint64_t(key.dtype) | uint64_t(key.out_dtype) << 8 | uint64_t(key.transposed) << 16 | uint64_t(key.a_alignment) << 24 |
        uint64_t(key.b_alignment) << 32 | uint64_t(key.out_alignment) << 40);
    return size_t(hash);
  }
};

// log2 of the largest power of two that divides an address, up to 256, beyond which no algorithm asks.
inline uint8_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<uintptr_t>(data);
  uint8_t log2 = 0;
  while (log2 < 8 && (address >> log2 & 1) == 0) ++log2;
  return log2;
}

// Immutable once made; any thread may multiply by it. cuBLASLt is column-major: a row-major matrix is the transpose of one, and
// out = a @ b is computed as out^T = b^T @ a^T, so its first operand is our b.
class MatmulPlan {
 public:
  MatmulPlan(const MatmulKey& key, const Stored& a, const Stored& b, const Stored& out) : handle_(cublaslt_handle(key.device)) {
    const CublasLt& lt = CublasLt::get();
    const auto dtype = cudaDataType_t(key.dtype), out_dtype = cudaDataType_t(key.out_dtype);
    lt.check(lt.desc_create(&desc_.of, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing a product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    describe(first_, dtype, b);
    describe(second_, dtype, a);
    describe(out_, out_dtype, out);

    Owned<cublasLtMatmulPreference_t, &CublasLt::preference_destroy> preference;
    lt.check(lt.preference_create(&preference.of), "making a preference");
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
      lt.check(lt.preference_set(preference.of, attribute, &value, sizeof(value)), "setting a preference");
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kMatmulWorkspace});
    // Where the depth is split, parts are added up in float32 and in an order that does not vary.
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, uint32_t{1} << key.b_alignment);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, uint32_t{1} << key.a_alignment);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, uint32_t{1} << key.out_alignment);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, uint32_t{1} << key.out_alignment);

    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    const cublasStatus_t status =
        lt.get_heuristic(handle_, desc_.of, first_.of, second_.of, out_.of, out_.of, preference.of, 1, &found, &count);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED ||
        (status == CUBLAS_STATUS_SUCCESS && (count == 0 || found.state != CUBLAS_STATUS_SUCCESS)))
      throw plugin::Unsupported("cuBLASLt has no algorithm for a product of " + std::to_string(key.rows) + " x " +
                                std::to_string(key.depth) + " x " + std::to_string(key.columns));
    lt.check(status, "choosing an algorithm");
    algorithm_ = found.algo;
  }

  // out = a @ b + beta * out. `workspace`: kMatmulWorkspace bytes.
  void run(Stream stream, const void* a, const void* b, void* out, float beta, void* workspace) const {
    const CublasLt& lt = CublasLt::get();
    const float alpha = 1;
    lt.check(lt.matmul(handle_, desc_.of, &alpha, b, first_.of, a, second_.of, &beta, out, out_.of, out, out_.of, &algorithm_,
                       workspace, kMatmulWorkspace, stream),
             "multiplying");
  }

 private:
  template <class Handle, auto kDestroy>
  struct Owned {
    Handle of = nullptr;
    Owned() = default;
    Owned(const Owned&) = delete;
    ~Owned() {
      if (of != nullptr) (CublasLt::get().*kDestroy)(of);
    }
  };
  using Layout = Owned<cublasLtMatrixLayout_t, &CublasLt::layout_destroy>;

  void set(cublasLtMatmulDescAttributes_t attribute, cublasOperation_t operation) {
    const CublasLt& lt = CublasLt::get();
    lt.check(lt.desc_set(desc_.of, attribute, &operation, sizeof(operation)), "describing a product");
  }
  static void describe(Layout& layout, cudaDataType_t dtype, const Stored& matrix) {
    const CublasLt& lt = CublasLt::get();
    lt.check(lt.layout_create(&layout.of, dtype, uint64_t(matrix.columns), uint64_t(matrix.rows), matrix.stride),
             "describing a matrix");
  }

  cublasLtHandle_t handle_;
  Owned<cublasLtMatmulDesc_t, &CublasLt::desc_destroy> desc_;
  Layout first_, second_, out_;
  cublasLtMatmulAlgo_t algorithm_;
};

// Plans by their key, for all threads.
class MatmulPlans {
 public:
  static MatmulPlans& shared() {
    static auto* plans = new MatmulPlans;  // never destroyed, as the library is not
    return *plans;
  }

  // Null: not known yet.
  std::shared_ptr<const MatmulPlan> find(const MatmulKey& key) const {
    const std::shared_lock lock(mutex_);
    const auto found = plans_.find(key);
    return found != plans_.end() ? found->second : nullptr;
  }

  void keep(const MatmulKey& key, std::shared_ptr<const MatmulPlan> plan) {
    const std::unique_lock lock(mutex_);
    // Prompts of every length are met in time: rather start anew than grow without end.
    if (plans_.size() >= kMost) plans_.clear();
    plans_.insert_or_assign(key, std::move(plan));
  }

 private:
  static constexpr size_t kMost = 4096;  // about 1 KiB each
  mutable std::shared_mutex mutex_;
  std::unordered_map<MatmulKey, std::shared_ptr<const MatmulPlan>, MatmulKeyHash> plans_;
};

}  // namespace graft::gpu
