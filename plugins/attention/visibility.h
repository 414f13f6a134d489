// Which keys a query may see: causal, sliding window and mask, as attention/1 defines them.
#pragma once

#include <algorithm>
#include <graft/plugin.hpp>
#include <limits>

namespace graft {

struct KeyRange {
  int64_t begin, end;
};

class Visibility {
 public:
  Visibility(bool causal, int64_t window, int64_t queries, int64_t keys,
             const std::optional<plugin::Tensor>& mask)
      : causal_(causal), window_(window), offset_(keys - queries), keys_(keys) {
    if (!mask) return;
    mask_ = mask->data<uint8_t>();
    for (int i = 0; i < 4; ++i) stride_[i] = mask->size(i) == 1 ? 0 : mask->stride(i);
  }

  // The keys that query `token` may see, the mask aside. Both ends grow with `token`.
  KeyRange range(int64_t token) const {
    const int64_t position = offset_ + token;  // the key that stands beside the query
    const int64_t begin = window_ > 0 ? std::clamp<int64_t>(position - window_ + 1, 0, keys_) : 0;
    const int64_t end = causal_ ? std::clamp<int64_t>(position + 1, 0, keys_) : keys_;
    return {begin, end};
  }

  // The keys that any of `tokens` queries from `first_token` on may see; at least one.
  KeyRange range(int64_t first_token, int64_t tokens) const {
    return {range(first_token).begin, range(first_token + tokens - 1).end};
  }

  // Turns the scores of keys [first, first + count) that the query may not see into `hidden`.
  template <class R>
  void hide(R* scores, int64_t batch, int64_t head, int64_t token, int64_t first, int64_t count,
            R hidden = -std::numeric_limits<R>::infinity()) const {
    const KeyRange seen = range(token);
    const int64_t begin = std::clamp<int64_t>(seen.begin - first, 0, count);
    const int64_t end = std::clamp<int64_t>(seen.end - first, begin, count);
    std::fill(scores, scores + begin, hidden);
    std::fill(scores + end, scores + count, hidden);
    if (mask_ == nullptr) return;
    const uint8_t* mask =
        mask_ + batch * stride_[0] + head * stride_[1] + token * stride_[2] + first * stride_[3];
    for (int64_t i = begin; i < end; ++i)
      if (mask[i * stride_[3]] == 0) scores[i] = hidden;
  }

 private:
  bool causal_;
  int64_t window_, offset_, keys_;
  const uint8_t* mask_ = nullptr;
  int64_t stride_[4] = {};
};

}  // namespace graft
