// RMSNormMLP: out = SwiGLUMLP(RMSNorm(x)), made of the two kernels' own parts. The normed rows lie in the workspace, behind what
// the MLP takes of it; backward computes them anew.
#pragma once

#include "../norm/backward.h"
#include "../norm/rms.h"
#include "swiglu_mlp.h"

namespace graft {

class RMSNormMLP {
 public:
  explicit RMSNormMLP(const plugin::Attributes& attributes) : eps_(attributes.number("0.eps")), mlp_(attributes) {}

  size_t workspace_size(plugin::Arguments arguments, uint32_t threads) const {
    const plugin::Tensor x = arguments.tensor(kX);
    Workspace workspace;
    workspace.take<char>(mlp_workspace(x, arguments.tensor(kGate), threads));
    with_dtype(x.dtype(), [&]<class T>(T) { workspace.take<T>(size_t(x.numel())); });
    return workspace.used();
  }

  void forward(const plugin::Call& call, plugin::Tensor x, plugin::Tensor weight, plugin::Tensor gate, plugin::Tensor up,
               plugin::Tensor down, plugin::Tensor out) const {
    with_dtype(x.dtype(), [&]<class T>(T) {
      Workspace workspace(call.workspace<void>());
      workspace.take<char>(mlp_workspace(x, gate, call.thread_count()));
      T* normed = workspace.take<T>(size_t(x.numel()));
      norm_rows(call, Rows<const T>(x), weight.data<T>(), eps_, normed);
      // As large as `out`, and row-major like it.
      graft_tensor between = *out.c();
      between.data = normed;
      between.byte_offset = 0;
      mlp_.forward(call, plugin::Tensor(&between), gate, up, down, out, std::nullopt, std::nullopt);
    });
  }

  size_t backward_workspace_size(plugin::Arguments arguments, uint32_t threads) const {
    const plugin::Tensor x = arguments.tensor(kX);
    return with_backward_workspace(nullptr, x, arguments.tensor(kGate), threads, [](const auto&...) {});
  }

  void backward(const plugin::Call& call, plugin::Arguments arguments, plugin::Arguments grad_outputs, uint64_t needs,
                plugin::Arguments grad_inputs) const {
    const plugin::Tensor x = arguments.tensor(kX), weight = arguments.tensor(kWeight), gate = arguments.tensor(kGate);
    const auto run = [&]<class T>(const SwiGLUBackward<T>& mlp, T* normed, T* grad_normed) {
      const auto grad = [&](int input) { return wanted<T>(grad_inputs, needs, input); };
      const auto grad_out = incoming<T>(grad_outputs, 0);
      if (!grad_out) {
        for (int input : {kX, kWeight, kGate, kUp, kDown}) clear(grad(input));
        return;
      }
      const Rows<const T> in(x);
      const auto between = [&]<class U>(U* memory) { return Rows<U>(memory, in.count(), in.width(), in.width()); };
      const bool through_norm = needed(needs, kX) || needed(needs, kWeight);
      norm_rows(call, in, weight.data<T>(), eps_, normed);
      mlp.run(call,
              {between(static_cast<const T*>(normed)), Rows<const T>(gate), Rows<const T>(arguments.tensor(kUp)),
               Rows<const T>(arguments.tensor(kDown)), std::nullopt, std::nullopt},
              *grad_out,
              {through_norm ? std::optional(between(grad_normed)) : std::nullopt, grad(kGate), grad(kUp), grad(kDown)});
      if (!through_norm) return;
      norm_backward<T>(call, in, weight.data<T>(), nullptr, eps_,
                       {.out = between(static_cast<const T*>(grad_normed)), .x = grad(kX), .weight = grad(kWeight)});
    };
    with_backward_workspace(call.workspace<void>(), x, gate, call.thread_count(), run);
  }

 private:
  enum { kX, kWeight, kGate, kUp, kDown };

  size_t mlp_workspace(const plugin::Tensor& x, const plugin::Tensor& gate, uint32_t threads) const {
    graft_value values[2] = {};
    const plugin::Tensor* tensors[2] = {&x, &gate};
    for (int i = 0; i < 2; ++i) {
      values[i].tag = GRAFT_TENSOR;
      values[i].as.tensor = const_cast<graft_tensor*>(tensors[i]->c());
    }
    return mlp_.workspace_size(plugin::Arguments(values), threads);
  }

  // body(the MLP's backward, normed rows, their gradients) on its pieces of `memory` (null: nothing is run on them). What
  // norm_backward takes lies at the front, where it looks for it. The bytes that all take.
  template <class Body>
  static size_t with_backward_workspace(void* memory, const plugin::Tensor& x, const plugin::Tensor& gate, uint32_t threads,
                                        const Body& body) {
    Workspace workspace(memory);
    workspace.take<char>(norm_backward_workspace(x));
    with_dtype(x.dtype(), [&]<class T>(T) {
      const int64_t rows = x.size(-1) == 0 ? 0 : x.numel() / x.size(-1);
      const SwiGLUBackward<T> mlp(workspace, rows, gate.size(0), threads);
      T* normed = workspace.take<T>(size_t(x.numel()));
      body(mlp, normed, workspace.take<T>(size_t(x.numel())));
    });
    return workspace.used();
  }

  double eps_;
  SwiGLUMLP mlp_;
};

}  // namespace graft
