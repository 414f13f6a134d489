// Sequences: which rows of a packed tensor are whose, by cu_seqlens.
#pragma once

#include <graft/plugin.hpp>
#include <stdexcept>
#include <string>

namespace graft {

class Sequences {
 public:
  // `name`: the argument's, for the message. Throws std::invalid_argument for lengths that `rows` rows do not have: nothing else
  // stands between them and memory that is not the tensor's.
  Sequences(const char* name, const plugin::Tensor& cu_seqlens, int64_t rows)
      : ends_(cu_seqlens.data<int32_t>()), count_(cu_seqlens.size(0) - 1) {
    const auto refuse = [&](const std::string& why) { throw std::invalid_argument(std::string(name) + why); };
    if (count_ < 0) refuse(" is empty; it has one element more than there are sequences");
    if (ends_[0] != 0) refuse(" begins with " + std::to_string(ends_[0]) + " instead of 0");
    for (int64_t b = 0; b < count_; ++b) {
      if (ends_[b + 1] < ends_[b])
        refuse(" falls from " + std::to_string(ends_[b]) + " to " + std::to_string(ends_[b + 1]) + " at " +
               std::to_string(b + 1));
    }
    if (ends_[count_] != rows)
      refuse(" ends with " + std::to_string(ends_[count_]) + ", and there are " + std::to_string(rows) +
             " tokens");
  }

  int64_t count() const { return count_; }
  int64_t first(int64_t sequence) const { return ends_[sequence]; }
  int64_t length(int64_t sequence) const { return ends_[sequence + 1] - ends_[sequence]; }

 private:
  const int32_t* ends_;
  int64_t count_;
};

}  // namespace graft
