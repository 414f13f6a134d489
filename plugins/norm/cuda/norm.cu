// RMSNorm and AddRMSNorm on a GPU, see forward.cuh and backward.cuh.
#include <graft/contracts/add_rms_norm.h>
#include <graft/contracts/rms_norm.h>

#include "backward.cuh"
#include "forward.cuh"

namespace graft {
namespace {

using namespace plugin;

// Backward of both: `x` is what the norm saw. grad_x and grad_residual get the same; absent ones are not asked for.
struct Wanted {
  std::optional<Tensor> x, residual, weight;
};

std::optional<Tensor> if_needed(Arguments grad_inputs, uint64_t needs, int index) {
  return (needs >> index & 1) != 0 ? grad_inputs.optional(index) : std::nullopt;
}

template <class T>
T* data_or_null(const std::optional<Tensor>& tensor) {
  return tensor ? tensor->data<T>() : nullptr;
}

void norm_backward(const Call& call, const Tensor& x, const Tensor& weight, const std::optional<Tensor>& rstd,
                   const std::optional<Tensor>& grad_out, const std::optional<Tensor>& grad_sum, const Wanted& wanted,
                   double eps) {
  gpu::with_dtype(x.dtype(), [&](auto of) {
    using T = decltype(of);
    const auto stream = gpu::gpu_stream(call);
    const gpu::NormBackward<T> a{Rows<const T>(x),
                                 weight.data<T>(),
                                 data_or_null<float>(rstd),
                                 data_or_null<T>(grad_out),
                                 data_or_null<T>(grad_sum),
                                 data_or_null<T>(wanted.x),
                                 data_or_null<T>(wanted.residual),
                                 call.workspace<float>(),
                                 float(eps)};
    T* grad_weight = data_or_null<T>(wanted.weight);
    const size_t bytes = size_t(a.x.count() * a.x.width()) * sizeof(T);
    if (bytes == 0 || a.grad_out == nullptr) {  // only what comes in through the sum, if anything
      const auto give = [&](T* to) {
        if (to == nullptr) return;
        a.grad_sum != nullptr ? gpu::copy(stream, to, a.grad_sum, bytes) : gpu::clear(stream, to, bytes);
      };
      give(a.grad_x);
      give(a.grad_residual);
      if (grad_weight != nullptr) gpu::clear(stream, grad_weight, size_t(a.x.width()) * sizeof(T));
    } else if (grad_weight != nullptr) {
      gpu::norm_backward<true>(stream, a, grad_weight);
    } else {
      gpu::norm_backward<false>(stream, a, grad_weight);
    }
  });
}

size_t norm_backward_workspace(const Tensor& x) {
  return gpu::partials_bytes(row_count(x), x.ndim() == 0 ? 1 : x.size(-1));
}

bool rows_served(const Tensor& tensor) {
  Rows<const char> served(tensor);  // throws Unsupported otherwise
  return served.count() >= 0;
}

struct RMSNorm {
  double eps;

  explicit RMSNorm(const Attributes& attributes) : eps(attributes.number("eps")) {}

  static bool supports(const Attributes&, Arguments arguments) { return rows_served(arguments.tensor(kX)); }

  void forward(const Call& call, Tensor x, Tensor weight, Tensor out, std::optional<Tensor> rstd) const {
    gpu::with_dtype(x.dtype(), [&](auto of) {
      using T = decltype(of);
      const Rows<const T> rows(x);
      gpu::norm_forward<false>(gpu::gpu_stream(call), gpu::NormForward<T>{rows, rows, weight.data<T>(), out.data<T>(), nullptr,
                                                                          data_or_null<float>(rstd), float(eps)});
    });
  }

  size_t backward_workspace_size(Arguments arguments, uint32_t) const { return norm_backward_workspace(arguments.tensor(kX)); }

  void backward(const Call& call, Arguments arguments, Arguments grad_outputs, uint64_t needs, Arguments grad_inputs) const {
    norm_backward(call, arguments.tensor(kX), arguments.tensor(kWeight), arguments.optional(kRstd), grad_outputs.optional(0),
                  std::nullopt, {if_needed(grad_inputs, needs, kX), std::nullopt, if_needed(grad_inputs, needs, kWeight)}, eps);
  }

 private:
  enum { kX, kWeight, kOut, kRstd };
};

struct AddRMSNorm {
  double eps;

  explicit AddRMSNorm(const Attributes& attributes) : eps(attributes.number("eps")) {}

  static bool supports(const Attributes&, Arguments arguments) {
    return rows_served(arguments.tensor(kX)) && rows_served(arguments.tensor(kResidual));
  }

  void forward(const Call& call, Tensor x, Tensor residual, Tensor weight, Tensor out, Tensor sum,
               std::optional<Tensor> rstd) const {
    gpu::with_dtype(x.dtype(), [&](auto of) {
      using T = decltype(of);
      gpu::norm_forward<true>(gpu::gpu_stream(call),
                              gpu::NormForward<T>{Rows<const T>(x), Rows<const T>(residual), weight.data<T>(), out.data<T>(),
                                                  sum.data<T>(), data_or_null<float>(rstd), float(eps)});
    });
  }

  size_t backward_workspace_size(Arguments arguments, uint32_t) const { return norm_backward_workspace(arguments.tensor(kSum)); }

  void backward(const Call& call, Arguments arguments, Arguments grad_outputs, uint64_t needs, Arguments grad_inputs) const {
    norm_backward(
        call, arguments.tensor(kSum), arguments.tensor(kWeight), arguments.optional(kRstd), grad_outputs.optional(0),
        grad_outputs.optional(1),
        {if_needed(grad_inputs, needs, kX), if_needed(grad_inputs, needs, kResidual), if_needed(grad_inputs, needs, kWeight)},
        eps);
  }

 private:
  enum { kX, kResidual, kWeight, kOut, kSum, kRstd };
};

graft::plugin::Entry deterministic(graft::plugin::Entry entry) {
  return gpu::for_gpu(std::move(entry)).flags(GRAFT_ENTRY_DETERMINISTIC);
}

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::deterministic(graft::plugin::entry<graft::RMSNorm>("RMSNorm", "RMSNorm/1")),
             graft::deterministic(graft::plugin::entry<graft::AddRMSNorm>("AddRMSNorm", "AddRMSNorm/1")))
