// The attributes that all attention contracts have.
#pragma once

#include <graft/plugin.hpp>

namespace graft {

struct AttentionOptions {
  double scale, softcap;
  bool causal;
  int64_t window;

  explicit AttentionOptions(const plugin::Attributes& a)
      : scale(a.number("scale")),
        softcap(a.number("softcap")),
        causal(a.boolean("causal")),
        window(a.integer("sliding_window")) {}
};

inline bool heads_divide(int64_t query_heads, int64_t key_heads) {
  return key_heads == 0 ? query_heads == 0 : query_heads % key_heads == 0;
}

}  // namespace graft
