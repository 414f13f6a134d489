// Products of tiles on AMX, ten times as fast as widening bfloat16 to float first. Source: Intel 64 and IA-32
// Architectures Software Developer's Manual, volume 1, chapter 18.
#pragma once

#include "tile_layout.h"

#if defined(GRAFT_TILES)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace graft::amx {

// Whether this process may use tiles. Linux gives their state, 8 KiB a thread, to processes that ask for it,
// and for good: so nothing asks before the first product. Source: Documentation/arch/x86/xstate.rst.
static inline bool available() {
  static const bool granted = [] {
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
    const bool tiles = (d >> 24 & 1) != 0, bf16 = (d >> 22 & 1) != 0;
    return tiles && bf16 && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return granted;
}

// Eight tiles of full size for as long as it lives; afterwards threads are switched without them.
class Tiles {
 public:
  Tiles() {
    // Static, since GCC 12 takes _tile_loadconfig to read 8 bytes of it and may leave the others unwritten.
    alignas(64) static constexpr struct {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    _tile_loadconfig(&config);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
};

// c[32][32] (+)= left[32][32 steps] @ right, whose tiles of a column of them lie one after the other. Of
// factors in two parts all products but that of the low ones.
template <int Parts = 1>
inline void multiply_tiles(int64_t steps, tiles::Factor left, tiles::Factor right, float* c, int64_t c_stride,
                           bool add) {
  const int64_t left_bytes = left.stride * 2, c_bytes = c_stride * 4;
  if (add) {
    _tile_loadd(0, c, c_bytes);
    _tile_loadd(1, c + 16, c_bytes);
    _tile_loadd(2, c + 16 * c_stride, c_bytes);
    _tile_loadd(3, c + 16 * c_stride + 16, c_bytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t step = 0; step < steps; ++step) {
    const simd::bf16 *a = left.data + step * tiles::kDepth, *b = right.data + step * 16 * tiles::kDepth;
    _tile_loadd(4, a, left_bytes);
    _tile_loadd(6, b, 64);
    _tile_loadd(7, b + right.stride, 64);
    _tile_loadd(5, a + 16 * left.stride, left_bytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    if constexpr (Parts == 2) {
      _tile_loadd(4, a + left.low, left_bytes);
      _tile_loadd(5, a + left.low + 16 * left.stride, left_bytes);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
      _tile_loadd(4, a, left_bytes);
      _tile_loadd(6, b + right.low, 64);
      _tile_loadd(7, b + right.low + right.stride, 64);
      _tile_loadd(5, a + 16 * left.stride, left_bytes);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, c, c_bytes);
  _tile_stored(1, c + 16, c_bytes);
  _tile_stored(2, c + 16 * c_stride, c_bytes);
  _tile_stored(3, c + 16 * c_stride + 16, c_bytes);
}

// The same for c[rows][columns], in whole pairs of tiles.
template <int Parts = 1>
inline void multiply(int64_t steps, tiles::Factor left, tiles::Factor right, int64_t rows, int64_t columns,
                     float* c, int64_t c_stride, bool add) {
  for (int64_t column = 0; column < columns; column += 32)
    for (int64_t row = 0; row < rows; row += 32)
      multiply_tiles<Parts>(steps, {left.data + row * left.stride, left.stride, left.low},
                            {right.data + column / 16 * right.stride, right.stride, right.low},
                            c + row * c_stride + column, c_stride, add);
}

}  // namespace graft::amx

#endif
