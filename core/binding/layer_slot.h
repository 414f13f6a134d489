// Layer: a slot, and where in a model its module stands.
#pragma once

#include <memory>
#include <string>

#include "slot_state.h"

namespace graft {

struct Layer {
  std::string path;  // of the module: "model.layers.0.mlp"
  std::shared_ptr<SlotState> slot;
};

}  // namespace graft
