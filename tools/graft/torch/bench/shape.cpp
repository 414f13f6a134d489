#include "shape.h"

#include <algorithm>
#include <charconv>

#include "bench_options.h"
#include "graft/error.h"

namespace graft::bench {

Sizes parse_shape(const std::string& text) {
  constexpr int64_t kLargest = int64_t{1} << 31;
  Sizes shape;
  for (const char *at = text.data(), *end = at + text.size();;) {
    int64_t size = 0;
    const auto [after, error] = std::from_chars(at, end, size);
    if (error != std::errc() || size < 1 || size > kLargest || (after != end && *after != 'x')) {
      throw Error(ErrorCode::invalid_argument, "--shape \"" + text + "\"",
                  "is not positive numbers with x between them", "write it as in --shape 1x576");
    }
    shape.push_back(size);
    if (after == end) return shape;
    at = after + 1;
  }
}

std::string_view shape_form(std::string_view contract) {
  for (const ShapeForm& known : kShapeForms) {
    if (known.contract == contract) return known.form;
  }
  return "";
}

size_t length_of_form(std::string_view form) {
  return size_t(std::count(form.begin(), form.end(), 'x')) + 1;
}

}  // namespace graft::bench
