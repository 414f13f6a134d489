// A decoder layer's call as a step or as a prompt, whichever its new tokens are.
#pragma once

#include <algorithm>
#include <graft/plugin.hpp>

#include "layer_prompt.h"
#include "layer_step.h"

namespace graft {

// Monotone: for more tokens than steps serve it is enough for steps as well.
template <class T, class Weight>
size_t layer_workspace(const LayerSizes& sizes, uint32_t threads) {
  Workspace step, prompt;
  LayerSizes few = sizes;
  few.batch = std::min(sizes.batch, kMostRows), few.tokens = std::min(sizes.tokens, kMostRows);
  StepMemory<T, Weight>(step, few, threads);
  if (!serves_step(sizes)) LayerPrompt<T, Weight>(prompt, sizes, threads);
  return std::max(step.used(), prompt.used());
}

template <class T, class Weight, class N>
void run_layer(const plugin::Call& call, const LayerSizes& sizes, const LayerWeights<Weight, N>& weights,
               const LayerOptions& options, const LayerTensors<T>& tensors) {
  Workspace workspace(call.workspace<void>());
  if (serves_step(sizes)) {
    const StepMemory<T, Weight> memory(workspace, sizes, call.thread_count());
    LayerStep(memory, weights, options, tensors).run(call);
  } else {
    LayerPrompt<T, Weight>(workspace, sizes, call.thread_count()).run(call, weights, options, tensors);
  }
}

}  // namespace graft
