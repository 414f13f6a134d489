#include "grad_mode.h"

namespace graft::detail {

constinit thread_local const c10::AutogradState* autograd_state __attribute__((tls_model("initial-exec"))) = nullptr;

const c10::AutogradState* find_autograd_state() { return autograd_state = &c10::AutogradState::get_tls_state(); }

}  // namespace graft::detail
