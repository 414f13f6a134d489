// Pages: one sequence's keys or values in a cache of pages, in the place of Heads.
#pragma once

#include <graft/plugin.hpp>

#include "heads.h"

namespace graft {

template <class T>
struct Pages {
  const T* data;
  int64_t page_stride, token_stride, head_stride;
  int64_t page_tokens;
  const int32_t* table;  // the sequence's pages

  // Of a tensor "P L K D".
  Pages(const plugin::Tensor& pages, const int32_t* table)
      : data(pages.data<T>()),
        page_stride(pages.stride(0)),
        token_stride(pages.stride(1)),
        head_stride(pages.stride(2)),
        page_tokens(pages.size(1)),
        table(table) {}

  const T* row(int64_t head, int64_t token) const {
    return data + table[token / page_tokens] * page_stride + token % page_tokens * token_stride +
           head * head_stride;
  }
};

// In place if they are reals already and stand in one page.
template <class T, class R = simd::Real<T>>
Matrix<R> key_rows(const Pages<T>& from, int64_t /*batch*/, int64_t key_head, int64_t first, int64_t count,
                   int64_t dim, int64_t width, R* memory) {
  const auto left_in_page = [&](int64_t token) { return from.page_tokens - token % from.page_tokens; };
  if constexpr (std::is_same_v<T, R>) {
    if (dim == width && count <= left_in_page(first))
      return {from.row(key_head, first), count, width, from.token_stride};
  }
  for (int64_t done = 0; done < count;) {
    const int64_t run = std::min(count - done, left_in_page(first + done));
    copy_rows(from.row(key_head, first + done), from.token_stride, run, dim, R{1}, memory + done * width,
              width);
    done += run;
  }
  return {memory, count, width, width};
}

}  // namespace graft
