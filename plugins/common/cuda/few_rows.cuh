// x [M, K] @ weight [N, K]^T for up to 8 rows, which waits for memory: each weight is read once, several loads of 16 bytes in
// flight in every lane. x stays in the L1 cache, where all warps of a multiprocessor find it.
//
// A warp takes kSlots rows of weights at a time; where there are too few of them to fill the device, several warps share these
// and each takes a part of the depth. Parts are added in a fixed order, so the same inputs give the same bits.
#pragma once

#include <cstdint>

#include "sixteen_bytes.cuh"

namespace graft::gpu {

inline constexpr int kFewRows = 8;

// Rows of x, wherever they lie.
template <class T>
struct FewRows {
  const T* row[kFewRows];
  int count;
};

// What is done with finished sums: out = sum + bias (may be null).
template <class T>
struct WriteLinear {
  static constexpr int kMatrices = 1;
  const T* weight[kMatrices];
  const T* bias;
  T* out;

  __device__ void operator()(const float (&sums)[kMatrices], int64_t row, int64_t column, int64_t columns) const {
    const float offset = bias != nullptr ? Element<T>::real(bias[column]) : 0.0f;
    out[row * columns + column] = Element<T>::round(sums[0] + offset);
  }
};

// out = silu(gate) * up, each rounded to T as torch's operators round; gate_out and up_out may be null.
template <class T>
struct WriteGated {
  static constexpr int kMatrices = 2;
  const T* weight[kMatrices];  // gate, up
  T *out, *gate_out, *up_out;

  __device__ void operator()(const float (&sums)[kMatrices], int64_t row, int64_t column, int64_t columns) const {
    const int64_t at = row * columns + column;
    const T gate = Element<T>::round(sums[0]), up = Element<T>::round(sums[1]);
    if (gate_out != nullptr) gate_out[at] = gate;
    if (up_out != nullptr) up_out[at] = up;
    const float g = Element<T>::real(gate), silu = g / (1.0f + __expf(-g));
    out[at] = Element<T>::round(Element<T>::real(Element<T>::round(silu)) * Element<T>::real(up));
  }
};

namespace few_rows {

inline constexpr int kSlots = 4, kWarps = 8, kThreads = kWarps * kWarp;

// Each of kValues (a power of two, at most kWarp) summed over the warp; lane l returns the sum of value l / (kWarp / kValues).
// Half of the values change hands at each step, so that no sum is taken twice.
template <int kValues>
__device__ float sum_over_warp(float (&values)[kValues]) {
  const int lane = int(threadIdx.x) % kWarp;
  int mask = kWarp / 2;
#pragma unroll
  for (int half = kValues / 2; half > 0; half /= 2, mask /= 2) {
    const bool upper = (lane & mask) != 0;
#pragma unroll
    for (int i = 0; i < half; ++i) {
      const float give = upper ? values[i] : values[i + half], keep = upper ? values[i + half] : values[i];
      values[i] = keep + from_lane_xor(give, mask);
    }
  }
  float sum = values[0];
  for (; mask > 0; mask /= 2) sum += from_lane_xor(sum, mask);
  return sum;
}

// kRows: 1, 2, 4 or 8, at least x.count. `share`: warps that share a group of kSlots weight rows, a power of two up to kWarps.
// kWide: x and weights begin on 16 bytes, row by row. depth is a multiple of Sixteen<T>::kCount.
template <class T, int kRows, bool kWide, class Write>
__global__ void __launch_bounds__(kThreads, kRows == 1   ? 4
                                            : kRows == 2 ? 3
                                                         : 2)
    multiply_rows(FewRows<T> x, int depth, int64_t columns, int share, Write write) {
  constexpr int kCount = Sixteen<T>::kCount, kColumns = kSlots / Write::kMatrices, kSteps = 2;
  const int warp = int(threadIdx.x) / kWarp, lane = int(threadIdx.x) % kWarp, part = warp % share;
  const int64_t group = int64_t(blockIdx.x) * (kWarps / share) + warp / share;
  const int64_t column = group * kColumns;

  const T* weights[kSlots];  // of matrix j / kColumns, column + j % kColumns; beyond the last column, that one again
#pragma unroll
  for (int j = 0; j < kSlots; ++j) weights[j] = write.weight[j / kColumns] + min(column + j % kColumns, columns - 1) * depth;

  float sums[kSlots * kRows] = {};
  const auto add = [&](const Sixteen<T>(&loaded)[kSlots], int at) {
    float w[kSlots][kCount];
#pragma unroll
    for (int j = 0; j < kSlots; ++j) loaded[j].unpack(w[j]);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const T* from = x.row[r] + at;
      float values[kCount];
      (kWide ? Sixteen<T>::load(from) : Sixteen<T>::gather(from)).unpack(values);
#pragma unroll
      for (int j = 0; j < kSlots; ++j)
#pragma unroll
        for (int i = 0; i < kCount; ++i) sums[j * kRows + r] += w[j][i] * values[i];
    }
  };
  const auto load = [&](Sixteen<T>(&loaded)[kSlots], int at) {
#pragma unroll
    for (int j = 0; j < kSlots; ++j)
      loaded[j] = kWide ? Sixteen<T>::stream(weights[j] + at) : Sixteen<T>::gather(weights[j] + at);
  };
  const int step = share * kWarp * kCount;
  int at = (part * kWarp + lane) * kCount;
  for (; at + (kSteps - 1) * step < depth; at += kSteps * step) {
    Sixteen<T> loaded[kSteps][kSlots];
#pragma unroll
    for (int s = 0; s < kSteps; ++s) load(loaded[s], at + s * step);
#pragma unroll
    for (int s = 0; s < kSteps; ++s) add(loaded[s], at + s * step);
  }
  if (at < depth) {
    Sixteen<T> loaded[kSlots];
    load(loaded, at);
    add(loaded, at);
  }

  __shared__ float parts[kWarps][kSlots * kRows];
  constexpr int kLanesEach = kWarp / (kSlots * kRows);
  const float sum = sum_over_warp(sums);
  if (lane % kLanesEach == 0) parts[warp][lane / kLanesEach] = sum;
  __syncthreads();

  constexpr int kResults = kColumns * kRows;  // of a group; no more than a warp has lanes, so the warp of part 0 writes them
  if (part != 0 || lane >= kResults) return;
  const int row = lane % kRows;
  const int64_t mine = column + lane / kRows;
  if (row >= x.count || mine >= columns) return;
  float results[Write::kMatrices];
#pragma unroll
  for (int m = 0; m < Write::kMatrices; ++m) {
    results[m] = 0;
    for (int p = 0; p < share; ++p) results[m] += parts[warp + p][m * kResults + lane];
  }
  write(results, row, mine, columns);
}

}  // namespace few_rows

// Whether multiply_few_rows takes a product of these sizes.
inline bool fits_few_rows(int64_t rows, int64_t depth, int64_t columns) {
  return rows <= kFewRows && depth % 8 == 0 && columns % 8 == 0 && depth > 0 && depth < (int64_t{1} << 28);
}

// `x`: 1 to 8 rows of `depth` values; the weights, out and bias stand in `write`.
template <class T, class Write>
void multiply_few_rows(Stream stream, FewRows<T> x, int64_t depth, int64_t columns, const Write& write) {
  using namespace few_rows;
  if (x.count == 0 || columns == 0) return;
  for (int i = x.count; i < kFewRows; ++i) x.row[i] = x.row[x.count - 1];  // multiplied, not written
  bool wide = depth * int64_t(sizeof(T)) % 16 == 0;
  for (const T* row : x.row) wide = wide && aligned16(row);
  for (const T* weight : write.weight) wide = wide && aligned16(weight);

  constexpr int64_t kColumns = kSlots / Write::kMatrices, kEnoughWarps = 2048;  // 16 for each multiprocessor of an H100
  const int64_t groups = (columns + kColumns - 1) / kColumns;
  int share = 1;
  while (share < kWarps && groups * share < kEnoughWarps && depth > int64_t{share} * kWarp * Sixteen<T>::kCount) share *= 2;
  const int64_t groups_each = kWarps / share;
  const auto blocks = unsigned((groups + groups_each - 1) / groups_each);

  const auto launch = [&]<int kRows>(std::integral_constant<int, kRows>) {
    if (wide)
      multiply_rows<T, kRows, true><<<blocks, kThreads, 0, stream>>>(x, int(depth), columns, share, write);
    else
      multiply_rows<T, kRows, false><<<blocks, kThreads, 0, stream>>>(x, int(depth), columns, share, write);
  };
  if (x.count == 1)
    launch(std::integral_constant<int, 1>());
  else if (x.count == 2)
    launch(std::integral_constant<int, 2>());
  else if (x.count <= 4)
    launch(std::integral_constant<int, 4>());
  else
    launch(std::integral_constant<int, 8>());
  check_launch();
}

}  // namespace graft::gpu
