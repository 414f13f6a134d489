// checkpoint: a block of a model whose activations are computed again in backward instead of being kept until
// then.
//
//   for (const auto& layer : layers) x = graft::checkpoint([&](const at::Tensor& x) { return
//   layer->forward(x); }, x);
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

namespace graft {

namespace detail {
using CheckpointedBlock = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;
std::vector<at::Tensor> checkpoint(CheckpointedBlock block, const std::vector<at::Tensor>& inputs);
}  // namespace detail

/// `block(inputs...)`, which returns a Tensor or a std::vector of them, of any shapes. Of its graph only the
/// inputs (as saved variables: changing them in place before backward is torch's error) and the parameters
/// that it uses are kept; backward runs it again. Gradients of inputs and parameters are those of a plain
/// call, also for torch::autograd::grad() and with retain_graph. Without a gradient to compute (no_grad,
/// nothing that requires one) it is a plain call.
///
/// `block` is copied, runs twice, may run on another thread, and what it refers to must live until backward.
/// It must compute the same both times: random numbers (dropout) are drawn anew, autocast and other
/// thread-local settings are those of backward. It must not change its inputs in place.
///
/// Throws what `block` throws, and Error(invalid_argument) if it uses a tensor with a history that was not
/// handed to it: its gradient would be lost. Second derivatives throw Error(unsupported). Thread-safe as far
/// as `block` is.
template <class Block, std::convertible_to<at::Tensor>... Inputs>
auto checkpoint(Block block, const Inputs&... inputs) {
  constexpr auto positions = std::index_sequence_for<Inputs...>();
  auto unpacked = [block = std::move(block)]<size_t... I>(const std::vector<at::Tensor>& tensors,
                                                          std::index_sequence<I...>) {
    return block(tensors[I]...);
  };
  using Result = decltype(unpacked(std::vector<at::Tensor>(), positions));
  if constexpr (std::is_same_v<Result, at::Tensor>) {
    auto as_list = [unpacked](const std::vector<at::Tensor>& tensors) {
      return std::vector<at::Tensor>{unpacked(tensors, std::index_sequence_for<Inputs...>())};
    };
    return detail::checkpoint(as_list, {inputs...}).front();
  } else {
    auto as_list = [unpacked](const std::vector<at::Tensor>& tensors) {
      return unpacked(tensors, std::index_sequence_for<Inputs...>());
    };
    return detail::checkpoint(as_list, {inputs...});
  }
}

}  // namespace graft
