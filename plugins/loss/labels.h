// Labels of the rows, checked once: those that count lie within the vocabulary.
#pragma once

#include <graft/plugin.hpp>
#include <stdexcept>
#include <string>

namespace graft {

class Labels {
 public:
  // Throws std::invalid_argument for a label that is neither ignored nor in [0, vocabulary).
  Labels(const plugin::Tensor& labels, int64_t ignore_index, int64_t vocabulary)
      : labels_(labels.data<int64_t>()), ignore_index_(ignore_index) {
    for (int64_t row = 0; row < labels.numel(); ++row) {
      if (!counts(row)) continue;
      ++counted_;
      if (labels_[row] < 0 || labels_[row] >= vocabulary)
        throw std::invalid_argument("label " + std::to_string(labels_[row]) + " of row " +
                                    std::to_string(row) + " is outside of the vocabulary of " +
                                    std::to_string(vocabulary));
    }
  }

  int64_t operator[](int64_t row) const { return labels_[row]; }
  bool counts(int64_t row) const { return labels_[row] != ignore_index_; }
  bool any_counts(int64_t row, int64_t rows) const {
    for (int64_t i = row; i < row + rows; ++i)
      if (counts(i)) return true;
    return false;
  }
  int64_t counted() const { return counted_; }

 private:
  const int64_t* labels_;
  int64_t ignore_index_, counted_ = 0;
};

}  // namespace graft
