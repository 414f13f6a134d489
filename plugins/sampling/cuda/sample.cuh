// One row of logits to one token. The blocks of a cluster share a row; each thread owns neighbouring tokens, so that those of lower
// ids are with lower threads and blocks, and reads them again in each pass: they fit a processor's first-level cache.
//
//   largest logit → smallest that top-k keeps → sum of what is left → smallest that top-p keeps → where the draw falls
//
// A probability is an integer, its share of the largest one's in 36 bits, so that sums are exact in any order. The smallest logit
// kept is found digit by digit: of a histogram of the logits' next 8 bits, by number or by sum of probabilities, the bin in which
// what is needed is reached.
#pragma once

#include <cooperative_groups.h>

#include "../../common/cuda/chain.cuh"
#include "../../common/cuda/pack.cuh"

namespace graft::gpu {

inline constexpr int kSampleThreads = 1024, kBins = 256;
// Bins of a histogram are kept apart by lane, so that no two lanes of a warp meet: [kBins, kWarp], twice for the halves of a sum.
inline constexpr size_t kHistogramBytes = size_t{2} * kBins * kWarp * sizeof(uint32_t);
// A lane's bin takes up to 256 tokens of each of 32 warps, 2^13 times 19 bits.
inline constexpr int64_t kMostTokens = int64_t{256} * kSampleThreads;
inline constexpr int kProbabilityBits = 36, kLowBits = 18;

template <class T>
struct Sample {
  const T* logits;
  int64_t stride;
  int vocabulary;
  const double* uniform;      // [rows]
  const double* temperature;  // the others have one element
  const int64_t* top_k;
  const double* top_p;
  int64_t* tokens;  // [rows]
};

// A logit as an integer that orders alike, without the bits that are the same in all logits of its dtype.
template <class T>
struct Key {
  static constexpr int kDigits = std::is_same_v<T, bf16> ? 2 : std::is_same_v<T, half> ? 3 : 4;
  static __device__ uint32_t of(float logit) {
    const uint32_t bits = __float_as_uint(logit + 0.0f);  // one zero
    return ((bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u) >> (32 - 8 * kDigits);
  }
};

struct Largest {
  float logit;
  uint32_t wrong;  // NaN or +infinity: how many
};

// Of the tokens kept: those above the smallest logit that is kept, and how many have that one.
struct Share {
  uint64_t above, ties;
};

struct SampleMemory {
  uint64_t bins[2][kBins];  // this block's histogram; two, so that none is written anew while another block reads it
  uint64_t all[kBins];      // the cluster's
  Largest largest, block_largest[kWarp];
  Share share, sums[kWarp];
  uint32_t digit;
  uint64_t needed;
};

template <class T>
class Sampler {
 public:
  __device__ Sampler(const Sample<T>& sample, SampleMemory& memory, uint32_t* histogram)
      : memory_(memory), histogram_(histogram), logits_(sample.logits + blockIdx.y * sample.stride), vocabulary_(sample.vocabulary) {
    const int packs = (vocabulary_ + N - 1) / N, owners = int(gridDim.x) * kSampleThreads;
    const int each = (packs + owners - 1) / owners, owner = int(blockIdx.x) * kSampleThreads + int(threadIdx.x);
    first_ = min(owner * each, packs) * N;
    end_ = min(min((owner + 1) * each, packs) * N, vocabulary_);
    aligned_ = reinterpret_cast<uintptr_t>(logits_) % 16 == 0;
  }

  __device__ void run(const Sample<T>& sample) {
    int64_t& token = sample.tokens[blockIdx.y];
    const Largest largest = find_largest();
    if (largest.wrong != 0 || largest.logit == -INFINITY) {
      if (blockIdx.x == 0 && threadIdx.x == 0) token = -1;
      return leave();
    }
    largest_ = largest.logit;
    scale_ = float(1.4426950408889634 / *sample.temperature);  // of powers of 2

    const int64_t k = *sample.top_k;
    const double p = *sample.top_p;
    if (k > 0 && k < vocabulary_) smallest_ = find_smallest(uint64_t(k), [](float) { return uint64_t{1}; }).key;
    uint64_t ties = ~uint64_t{0};
    if (p < 1) {
      const uint64_t sum = total(Share{sum_from_smallest(), 0}).above;
      const uint64_t needed = max(uint64_t{1}, uint64_t(ceil(p * double(sum))));
      const auto found = find_smallest(needed, [this](float logit) { return probability(logit); });
      smallest_ = found.key;
      const uint64_t each = tie_probability();
      ties = (found.needed + each - 1) / each;
    }
    draw(sample.uniform[blockIdx.y], ties, token);
    leave();
  }

 private:
  static constexpr int N = kPack<T>;
  struct Smallest {
    uint32_t key;
    uint64_t needed;  // of those with this key, in the weight's unit
  };

  // body(id, logit) for the tokens of this thread, in their order.
  template <class Body>
  __device__ void each(const Body& body) const {
    for (int id = first_; id < end_; id += N) {
      if (aligned_ && id + N <= end_) {
        const Pack<T, N> pack = load<N>(logits_ + id);
#pragma unroll
        for (int i = 0; i < N; ++i) body(id + i, float(pack.at[i]));
      } else {
        for (int i = id; i < min(id + N, end_); ++i) body(i, float(logits_[i]));
      }
    }
  }

  __device__ uint64_t probability(float logit) const {
    return __float2ull_rn(exp2f((logit - largest_) * scale_) * float(uint64_t{1} << kProbabilityBits));
  }

  // What the key of the smallest logit kept stands for. At least 1: where it is all that is needed, it is worth something.
  __device__ uint64_t tie_probability() const {
    const uint32_t key = smallest_ << (32 - 8 * Key<T>::kDigits);
    const uint32_t bits = (key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~(key | low_bits());
    return max(uint64_t{1}, probability(__uint_as_float(bits)));
  }
  // Those that Key leaves out are ones in the key of a negative number.
  static __device__ uint32_t low_bits() { return Key<T>::kDigits == 4 ? 0u : 0xffffffffu >> (8 * Key<T>::kDigits); }

  __device__ uint64_t sum_from_smallest() const {
    uint64_t sum = 0;
    each([&](int, float logit) { sum += Key<T>::of(logit) >= smallest_ ? probability(logit) : 0; });
    return sum;
  }

  // The cluster's blocks, and what another one keeps in its shared memory. A single block is none.
  __device__ static void together() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if (gridDim.x > 1) return cooperative_groups::this_cluster().sync();
#endif
    __syncthreads();
  }
  template <class V>
  __device__ static V of_block(V& mine, unsigned block) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if (gridDim.x > 1) return *cooperative_groups::this_cluster().map_shared_rank(&mine, block);
#endif
    return mine;
  }
  // Nobody's shared memory goes before all have read it.
  __device__ static void leave() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if (gridDim.x > 1) cooperative_groups::this_cluster().sync();
#endif
  }

  __device__ Largest find_largest() {
    Largest mine{-INFINITY, 0};
    each([&](int, float logit) {
      mine.logit = fmaxf(mine.logit, logit);
      mine.wrong += !(logit < INFINITY);
    });
    const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const auto of_warp = [](Largest one) {
      for (int mask = kWarp / 2; mask > 0; mask /= 2) one.logit = fmaxf(one.logit, __shfl_xor_sync(~0u, one.logit, mask));
      return Largest{one.logit, __reduce_add_sync(~0u, one.wrong)};
    };
    mine = of_warp(mine);
    if (lane == 0) memory_.block_largest[warp] = mine;
    __syncthreads();
    if (warp == 0) {
      mine = of_warp(memory_.block_largest[lane]);
      if (lane == 0) memory_.largest = mine;
    }
    together();
    Largest all{-INFINITY, 0};
    for (unsigned block = 0; block < gridDim.x; ++block) {
      const Largest other = of_block(memory_.largest, block);
      all.logit = fmaxf(all.logit, other.logit);
      all.wrong += other.wrong;
    }
    return all;
  }

  // Sums over this block's threads with lower numbers, and over all of them.
  struct Scan {
    Share before, all;
  };
  __device__ Scan scan(Share mine) {
    const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const auto inclusive = [&](Share value) {
      for (unsigned step = 1; step < kWarp; step *= 2) {
        const uint64_t above = __shfl_up_sync(~0u, value.above, step), ties = __shfl_up_sync(~0u, value.ties, step);
        if (lane >= step) value.above += above, value.ties += ties;
      }
      return value;
    };
    const Share up_to_me = inclusive(mine);
    __syncthreads();  // what was scanned before has been read
    if (lane == kWarp - 1) memory_.sums[warp] = up_to_me;
    __syncthreads();
    const Share warps = inclusive(memory_.sums[lane]);
    const auto of_warp = [&](unsigned number) {
      return Share{__shfl_sync(~0u, warps.above, number), __shfl_sync(~0u, warps.ties, number)};
    };
    const Share all = of_warp(kWarp - 1), until_warp = of_warp(warp == 0 ? 0 : warp - 1);
    Scan found{{up_to_me.above - mine.above, up_to_me.ties - mine.ties}, all};
    if (warp > 0) found.before.above += until_warp.above, found.before.ties += until_warp.ties;
    return found;
  }

  // Over the cluster.
  __device__ Share total(Share mine) {
    const Share block = scan(mine).all;
    if (threadIdx.x == 0) memory_.share = block;
    together();
    Share all{0, 0};
    for (unsigned other = 0; other < gridDim.x; ++other) {
      const Share share = of_block(memory_.share, other);
      all.above += share.above, all.ties += share.ties;
    }
    together();  // before it is written again
    return all;
  }

  // The largest key such that the weights of the logits from it on reach `needed`.
  template <class Weight>
  __device__ Smallest find_smallest(uint64_t needed, const Weight& weight) {
    uint32_t prefix = 0;
    for (int digit = Key<T>::kDigits - 1; digit >= 0; --digit) {
      for (int i = int(threadIdx.x); i < 2 * kBins * kWarp; i += kSampleThreads) histogram_[i] = 0;
      __syncthreads();
      uint32_t* low = histogram_ + threadIdx.x % kWarp;
      uint32_t* high = low + kBins * kWarp;
      each([&](int, float logit) {
        const uint32_t key = Key<T>::of(logit);
        if (key < smallest_ || uint64_t(key) >> (8 * (digit + 1)) != prefix) return;
        const uint32_t bin = (key >> (8 * digit)) % kBins * kWarp;
        const uint64_t worth = weight(logit);
        atomicAdd(low + bin, uint32_t(worth) & ((1u << kLowBits) - 1));
        if (worth >> kLowBits != 0) atomicAdd(high + bin, uint32_t(worth >> kLowBits));
      });
      __syncthreads();
      const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
      uint64_t* bins = memory_.bins[digit % 2];
      for (unsigned bin = warp; bin < kBins; bin += kSampleThreads / kWarp) {
        const uint32_t of_low = histogram_[bin * kWarp + lane], of_high = histogram_[(kBins + bin) * kWarp + lane];
        uint64_t sum = uint64_t(of_low) + (uint64_t(of_high) << kLowBits);
        for (int mask = kWarp / 2; mask > 0; mask /= 2) sum += __shfl_xor_sync(~0u, sum, mask);
        if (lane == 0) bins[bin] = sum;
      }
      together();
      if (threadIdx.x < kBins) {
        uint64_t sum = 0;
        for (unsigned block = 0; block < gridDim.x; ++block) sum += of_block(bins[threadIdx.x], block);
        memory_.all[threadIdx.x] = sum;
      }
      __syncthreads();
      if (warp == 0) choose_bin(needed);
      __syncthreads();
      prefix = prefix << 8 | memory_.digit;
      needed = memory_.needed;
    }
    together();  // the bins have been read
    return {prefix, needed};
  }

  // By one warp: the highest bin that, with those above it, reaches what is needed, and what of that is left for it.
  __device__ void choose_bin(uint64_t needed) {
    constexpr int kEach = kBins / kWarp;
    const int lane = int(threadIdx.x), highest = kBins - 1 - lane * kEach;
    uint64_t mine = 0;
    for (int i = 0; i < kEach; ++i) mine += memory_.all[highest - i];
    uint64_t up_to_me = mine;
    for (int step = 1; step < kWarp; step *= 2) {
      const uint64_t other = __shfl_up_sync(~0u, up_to_me, step);
      if (lane >= step) up_to_me += other;
    }
    uint64_t above = up_to_me - mine;
    if (above >= needed || up_to_me < needed) return;
    for (int bin = highest;; --bin) {
      if (above + memory_.all[bin] >= needed) {
        memory_.digit = uint32_t(bin);
        memory_.needed = needed - above;
        return;
      }
      above += memory_.all[bin];
    }
  }

  // ties: how many of the tokens with the smallest logit are kept, from the lowest id on.
  __device__ void draw(double uniform, uint64_t ties, int64_t& token) {
    Share mine{0, 0};
    each([&](int, float logit) {
      const uint32_t key = Key<T>::of(logit);
      if (key > smallest_) mine.above += probability(logit);
      mine.ties += key == smallest_;
    });
    const uint64_t tie = tie_probability();
    const auto kept = [&](Share before, Share share) {
      const uint64_t left = ties > before.ties ? ties - before.ties : 0;
      return share.above + min(left, share.ties) * tie;
    };
    const Scan block = scan(mine);
    if (threadIdx.x == 0) memory_.share = block.all;
    together();
    uint64_t sum = 0, before_block = 0;
    Share before{0, 0}, before_me{0, 0};
    for (unsigned other = 0; other < gridDim.x; ++other) {
      if (other == blockIdx.x) before_me = before, before_block = sum;
      const Share share = of_block(memory_.share, other);
      sum += kept(before, share);
      before.above += share.above, before.ties += share.ties;
    }
    const uint64_t place = min(uint64_t(uniform * double(sum)), sum - 1);
    before_me.above += block.before.above;
    const uint64_t ties_of_block = before_me.ties;
    before_me.ties += block.before.ties;
    // Kept by the threads before this one in its block, of which the ties end where there are enough.
    const uint64_t left = ties > ties_of_block ? ties - ties_of_block : 0;
    uint64_t at = before_block + block.before.above + min(left, block.before.ties) * tie;
    if (place < at || place >= at + kept(before_me, mine)) return;
    bool found = false;
    each([&](int id, float logit) {
      if (found) return;
      const uint32_t key = Key<T>::of(logit);
      if (key < smallest_ || (key == smallest_ && before_me.ties++ >= ties)) return;
      at += key == smallest_ ? tie : probability(logit);
      found = place < at;
      if (found) token = id;
    });
  }

  SampleMemory& memory_;
  uint32_t* histogram_;
  const T* logits_;
  int vocabulary_, first_, end_;
  bool aligned_;
  float largest_ = 0, scale_ = 1;
  uint32_t smallest_ = 0;  // the key that a token must have at least
};

template <class T>
__global__ void __launch_bounds__(kSampleThreads) sample(Sample<T> a) {
  __shared__ SampleMemory memory;
  extern __shared__ uint32_t histogram[];
  let_next_start();
  wait_for_previous();
  Sampler<T>(a, memory, histogram).run(a);
}

}  // namespace graft::gpu
