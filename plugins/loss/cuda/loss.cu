// ForCausalLMLoss: the last projection and cross entropy as one kernel. Logits [N, V] never exist as a whole, see chunks.h.
//
// Forward goes through them by rows: a row's log-sum-exp needs all of its logits. Backward knows it, and goes by columns instead:
// the gradient of a stretch of the weight is then one product over all rows, finished and rounded once, and what gathers over the
// chunks is grad_hidden [N, H]. By rows it would be grad_weight [V, H], which at V = 151936 is 8 bytes times 156 million to read
// and write again for each chunk, and 622 MB of float32 to keep.
#include <graft/contracts/for_causal_lm_loss.h>

#include <cstdint>
#include <graft/plugin.hpp>
#include <limits>
#include <optional>

#include "../../common/cuda/matmul.h"
#include "../../common/cuda/pieces.h"
#include "../../common/cuda/wanted.h"
#include "chunks.h"
#include "gradient.cuh"
#include "log_sum_exp.cuh"

namespace graft {
namespace {

using namespace plugin;
using gpu::Matrix;

class ForCausalLMLoss {
 public:
  explicit ForCausalLMLoss(const Attributes& attributes) : ignored_(attributes.integer("ignore_index")) {}

  static bool supports(const Attributes&, Arguments arguments) {
    gpu::require_products();
    const Tensor hidden = arguments.tensor(kHidden);
    const int64_t rows = hidden.size(0), vocabulary = arguments.tensor(kWeight).size(0);
    constexpr int64_t kMost = std::numeric_limits<int32_t>::max() - 4096;  // so that int holds a column, and a step beyond
    return vocabulary > 0 && vocabulary < kMost && rows < kMost && (rows <= 1 || hidden.stride(0) >= hidden.size(1));
  }

  size_t workspace_size(Arguments arguments, uint32_t) const { return layout(arguments).forward_size; }
  size_t backward_workspace_size(Arguments arguments, uint32_t) const { return layout(arguments).size; }

  void forward(const Call& call, Tensor hidden, Tensor weight, Tensor labels, Tensor loss, std::optional<Tensor> lse) const {
    gpu::with_dtype(hidden.dtype(), [&]<class T>(T) {
      const Layout memory(hidden, weight, call.workspace<void>());
      float* sums = lse ? lse->data<float>() : memory.lse;
      log_sum_exp<T>(call, hidden, weight, labels.data<int64_t>(), memory, sums, memory.losses);
      gpu::mean_loss<kMeanThreads><<<1, kMeanThreads, 0, gpu::gpu_stream(call)>>>(memory.losses, labels.data<int64_t>(),
                                                                                  hidden.size(0), ignored_, loss.data<float>());
      gpu::check_launch();
    });
  }

  void backward(const Call& call, Arguments arguments, Arguments grad_outputs, uint64_t needs, Arguments grad_inputs) const {
    const Tensor hidden = arguments.tensor(kHidden);
    const auto to_hidden = gpu::wanted(grad_inputs, needs, kHidden), to_weight = gpu::wanted(grad_inputs, needs, kWeight);
    const gpu::Stream stream = gpu::gpu_stream(call);
    if (!grad_outputs.has(0) || hidden.size(0) == 0) return gpu::set_zero(stream, to_hidden), gpu::set_zero(stream, to_weight);
    if (!to_hidden && !to_weight) return;
    gpu::with_dtype(hidden.dtype(), [&]<class T>(T) {
      differentiate<T>(call, arguments, grad_outputs.tensor(0).data<float>(), to_hidden, to_weight);
    });
  }

 private:
  enum { kHidden, kWeight, kLabels, kLoss, kLse };
  static constexpr int kMeanThreads = 1024;

  // The workspace of forward and of backward.
  struct Layout {
    LossChunks chunks;
    void *products, *logits;
    float *lse, *losses, *scale;  // losses: [N], forward's; scale: backward's
    float* grad_hidden;           // [N, H], where T is not float
    size_t forward_size, size;

    Layout(const Tensor& hidden, const Tensor& weight, void* memory)
        : chunks(hidden.size(0), weight.size(0), hidden.dtype().bits / 8) {
      gpu::Pieces pieces(memory);
      const size_t rows = size_t(hidden.size(0));
      products = pieces.take<char>(gpu::kMatmulWorkspace);
      logits = pieces.take<char>(chunks.bytes());
      lse = pieces.take<float>(rows);
      losses = pieces.take<float>(rows);
      scale = pieces.take<float>(1);
      forward_size = pieces.used();
      grad_hidden = pieces.take<float>(rows * size_t(hidden.size(1)));
      size = pieces.used();
    }
  };

  static Layout layout(Arguments arguments) { return {arguments.tensor(kHidden), arguments.tensor(kWeight), nullptr}; }

  // [N, H] of a tensor whose rows may lie apart.
  template <class T>
  static Matrix<T> matrix(const Tensor& tensor) {
    return {tensor.data<T>(), tensor.size(0), tensor.size(1), tensor.size(0) <= 1 ? tensor.size(1) : tensor.stride(0)};
  }

  // `losses` may be null.
  template <class T>
  void log_sum_exp(const Call& call, const Tensor& hidden_tensor, const Tensor& weight_tensor, const int64_t* labels,
                   const Layout& memory, float* lse, float* losses) const {
    const Matrix<const T> hidden = matrix<const T>(hidden_tensor), weight = matrix<const T>(weight_tensor);
    const gpu::Products products(call, memory.products);
    const int64_t step = memory.chunks.rows_at_once(), stride = memory.chunks.full_stride();
    for (int64_t row = 0; row < hidden.rows; row += step) {
      const int64_t count = std::min(step, hidden.rows - row);
      const Matrix<T> logits(static_cast<T*>(memory.logits), count, weight.rows, stride);
      gpu::multiply(products, gpu::rows(hidden.rows_from(row, count)), gpu::transposed(weight), logits);
      const auto launch = [&]<int kRowThreads>(std::integral_constant<int, kRowThreads>) {
        gpu::row_log_sum_exp<T, kRowThreads><<<unsigned(count), kRowThreads, 0, products.stream>>>(
            logits.data, stride, int(weight.rows), labels + row, ignored_, lse + row, losses != nullptr ? losses + row : nullptr);
      };
      if (weight.rows > 8192)
        launch(std::integral_constant<int, 512>());
      else
        launch(std::integral_constant<int, 128>());
      gpu::check_launch();
    }
  }

  template <class T>
  void differentiate(const Call& call, Arguments arguments, const float* grad_loss, const std::optional<Tensor>& to_hidden,
                     const std::optional<Tensor>& to_weight) const {
    const Tensor hidden_tensor = arguments.tensor(kHidden), weight_tensor = arguments.tensor(kWeight);
    const Matrix<const T> hidden = matrix<const T>(hidden_tensor), weight = matrix<const T>(weight_tensor);
    const int64_t* labels = arguments.tensor(kLabels).data<int64_t>();
    const Layout memory(hidden_tensor, weight_tensor, call.workspace<void>());
    const gpu::Products products(call, memory.products);

    const float* lse = arguments.has(kLse) ? arguments.tensor(kLse).data<float>() : nullptr;
    if (lse == nullptr) {
      log_sum_exp<T>(call, hidden_tensor, weight_tensor, labels, memory, memory.lse, nullptr);
      lse = memory.lse;
    }
    gpu::gradient_scale<kMeanThreads>
        <<<1, kMeanThreads, 0, products.stream>>>(labels, hidden.rows, ignored_, grad_loss, memory.scale);
    gpu::check_launch();

    const int64_t step = memory.chunks.columns_at_once(), stride = memory.chunks.columns_stride();
    const bool gathers = sizeof(T) < sizeof(float) && step < weight.rows;
    for (int64_t column = 0; column < weight.rows; column += step) {
      const int64_t count = std::min(step, weight.rows - column);
      const Matrix<const T> some = weight.rows_from(column, count);
      const Matrix<T> logits(static_cast<T*>(memory.logits), hidden.rows, count, stride);
      gpu::multiply(products, gpu::rows(hidden), gpu::transposed(some), logits);
      gpu::differentiate<T, kThreads><<<unsigned(hidden.rows), kThreads, 0, products.stream>>>(
          logits.data, stride, int(count), column, weight.rows, labels, ignored_, lse, memory.scale);
      gpu::check_launch();
      if (to_weight)
        gpu::multiply(products, gpu::transposed(logits), gpu::rows(hidden), matrix<T>(*to_weight).rows_from(column, count));
      const float beta = column > 0 ? 1.0f : 0.0f;
      if (to_hidden && gathers)
        gpu::multiply(products, gpu::rows(logits), gpu::rows(some),
                      Matrix<float>(memory.grad_hidden, hidden.rows, hidden.columns), beta);
      else if (to_hidden)
        gpu::multiply(products, gpu::rows(logits), gpu::rows(some), matrix<T>(*to_hidden), beta);
    }
    if (to_hidden && gathers) round<T>(products.stream, memory.grad_hidden, to_hidden->data<T>(), to_hidden->numel());
  }

  template <class T>
  static void round(gpu::Stream stream, const float* from, T* to, int64_t count) {
    if (count == 0) return;
    const auto blocks = [&](int64_t each) { return unsigned((count + each * kThreads - 1) / (each * kThreads)); };
    if (gpu::aligned16(to))
      gpu::round_values<T, kThreads, true><<<blocks(gpu::Sixteen<T>::kCount), kThreads, 0, stream>>>(from, to, count);
    else
      gpu::round_values<T, kThreads, false><<<blocks(1), kThreads, 0, stream>>>(from, to, count);
    gpu::check_launch();
  }

  static constexpr int kThreads = 256;
  int64_t ignored_;
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::gpu::for_gpu(graft::plugin::entry<graft::ForCausalLMLoss>("ForCausalLMLoss", "ForCausalLMLoss/1"))
                 .flags(GRAFT_ENTRY_DETERMINISTIC))
