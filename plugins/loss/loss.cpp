// ForCausalLMLoss: the last projection and cross entropy as one kernel. Logits [N, V] never exist as a whole:
// forward adds them up block by block (log_sum_exp.h), backward computes them anew chunk by chunk
// (backward.h).
#include <graft/contracts/for_causal_lm_loss.h>

#include <algorithm>
#include <cmath>
#include <graft/plugin.hpp>
#include <limits>

#include "../common/dtype.h"
#include "../common/gradients.h"
#include "../common/variant.h"
#include "backward.h"
#include "log_sum_exp.h"

namespace graft {
namespace {

using namespace plugin;

struct ForCausalLMLoss {
  int64_t ignore_index;

  explicit ForCausalLMLoss(const Attributes& attributes) : ignore_index(attributes.integer("ignore_index")) {}

  size_t workspace_size(Arguments arguments, uint32_t threads) const {
    const Tensor hidden = arguments.tensor(kHidden), weight = arguments.tensor(kWeight);
    Workspace workspace;
    with_dtype(hidden.dtype(),
               [&]<class T>(T) { LogSumExp<T>(workspace, hidden.size(0), weight.size(0), threads); });
    return workspace.used();
  }

  void forward(const Call& call, Tensor hidden, Tensor weight, Tensor labels_tensor, Tensor loss,
               std::optional<Tensor> lse) const {
    const int64_t rows = hidden.size(0), vocabulary = weight.size(0);
    const Labels labels(labels_tensor, ignore_index, vocabulary);
    with_dtype(hidden.dtype(), [&]<class T>(T) {
      Workspace workspace(call.workspace<void>());
      const LogSumExp<T> sums(workspace, rows, vocabulary, call.thread_count());
      sums.run(call, Rows<const T>(hidden), Rows<const T>(weight), labels);
      double total = 0;
      for (int64_t row = 0; row < rows; ++row)
        if (labels.counts(row)) total += double(sums.lse()[row]) - double(sums.label_logit(row));
      *loss.data<float>() = labels.counted() == 0 ? std::numeric_limits<float>::quiet_NaN()
                                                  : float(total / double(labels.counted()));
      if (lse) std::copy(sums.lse(), sums.lse() + rows, lse->data<float>());
    });
  }

  size_t backward_workspace_size(Arguments arguments, uint32_t threads) const {
    const Tensor hidden = arguments.tensor(kHidden), weight = arguments.tensor(kWeight);
    const int64_t rows = hidden.size(0), vocabulary = weight.size(0);
    Workspace workspace;
    with_dtype(hidden.dtype(), [&]<class T>(T) {
      LogSumExp<T>(workspace, rows, vocabulary, threads);
      LossBackward<T>(workspace, rows, vocabulary, weight.size(1));
    });
    return workspace.used();
  }

  void backward(const Call& call, Arguments arguments, Arguments grad_outputs, uint64_t needs,
                Arguments grad_inputs) const {
    const Tensor hidden_tensor = arguments.tensor(kHidden), weight_tensor = arguments.tensor(kWeight);
    const int64_t rows = hidden_tensor.size(0), vocabulary = weight_tensor.size(0);
    const Labels labels(arguments.tensor(kLabels), ignore_index, vocabulary);
    with_dtype(hidden_tensor.dtype(), [&]<class T>(T) {
      using R = simd::Real<T>;
      const auto to_hidden = wanted<T>(grad_inputs, needs, kHidden),
                 to_weight = wanted<T>(grad_inputs, needs, kWeight);
      if (!grad_outputs.has(0) || labels.counted() == 0) return clear(to_hidden), clear(to_weight);
      const R grad = R(*grad_outputs.tensor(0).data<float>()) / R(labels.counted());
      const Rows<const T> hidden(hidden_tensor), weight(weight_tensor);
      Workspace workspace(call.workspace<void>());
      const LogSumExp<T> sums(workspace, rows, vocabulary, call.thread_count());
      const LossBackward<T> backward(workspace, rows, vocabulary, weight.width());
      // What forward saved is float: too little for float64.
      if (arguments.has(kLse) && !std::is_same_v<T, double>)
        return backward.run(call, hidden, weight, labels, arguments.tensor(kLse).data<float>(), grad,
                            to_hidden, to_weight, sums.scratch());
      sums.run(call, hidden, weight, labels);
      backward.run(call, hidden, weight, labels, sums.lse(), grad, to_hidden, to_weight, sums.scratch());
    });
  }

 private:
  enum { kHidden, kWeight, kLabels, kLoss, kLse };
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::for_this_cpu(graft::plugin::entry<graft::ForCausalLMLoss>("ForCausalLMLoss",
                                                                              "ForCausalLMLoss/1")))
