// One call of an entry on small tensors, to see whether it lives through it.
#pragma once

#include "graft/abi/entry.h"

namespace graft::probe {

/// create, supports, prepare, workspace_size, forward and destroy, for the first of the entry's contracts
/// that is a standard one; on CPU. Attributes have their defaults, dimensions are 16, the values in float
/// tensors are small and equal, in others 0. Each tensor ends at a page that must not be touched, so that
/// reading or writing beyond it is a crash here instead of an accident later. An entry that says no is let
/// be: what is tried may not be what it serves. What the outputs hold is not looked at; bind compares them
/// with the layer's own. Reports stages and notes.
void try_entry(const graft_entry& entry);

}  // namespace graft::probe
