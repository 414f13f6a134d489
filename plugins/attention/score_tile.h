// ScoreTile: for some query rows and a block of keys the softmax weights p and the gradients of the scores.
#pragma once

#include "../common/gemm.h"
#include "../common/math.h"
#include "../common/reals.h"
#include "online_softmax.h"

namespace graft {

template <class R>
class ScoreTile {
 public:
  ScoreTile(Workspace& workspace, int64_t max_rows)
      : weights_(workspace.take<R>(size_t(max_rows * kKeysPerBlock))),
        grads_(workspace.take<R>(size_t(max_rows * kKeysPerBlock))) {}

  // The scores of all rows, and the gradients of their weights.
  void multiply(const Matrix<R>& queries, const Matrix<R>& grad_out, const PackedColumns<R>& keys,
                const PackedColumns<R>& values) {
    keys.multiply(queries, 0, queries.rows, weights_, kKeysPerBlock);
    values.multiply(grad_out, 0, queries.rows, grads_, kKeysPerBlock);
  }

  // Turns a row into p and the gradients of the scores. hide(values) turns those of keys that it may not see
  // into 0.
  template <class Hide>
  void differentiate(int64_t row, int64_t count, R lse, R delta, R softcap, const Hide& hide) {
    using namespace simd;
    R *weights = this->weights(row), *grads = grad_scores(row);
    // A row that sees nothing has no finite log-sum-exp; all of it is hidden.
    const R reference = lse == OnlineSoftmax<R>::kNothingSeen ? R{0} : lse;
    for (int64_t i = 0; i < count; i += kLanes) {
      VecOf<R> score = load(weights + i), slope = broadcast(R{1});
      if (softcap > 0) {
        const VecOf<R> capped = tanh(score * broadcast(R{1} / softcap));
        score = broadcast(softcap) * capped;
        slope = slope - capped * capped;
      }
      const VecOf<R> weight = exp(score - broadcast(reference));
      store(weights + i, weight);
      store(grads + i, weight * (load(grads + i) - broadcast(delta)) * slope);
    }
    hide(weights);
    hide(grads);
  }

  R* weights(int64_t row) { return weights_ + row * kKeysPerBlock; }
  R* grad_scores(int64_t row) { return grads_ + row * kKeysPerBlock; }

 private:
  R *weights_, *grads_;
};

}  // namespace graft
