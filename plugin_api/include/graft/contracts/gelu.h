/* GELU/1: out = x * Phi(x), elementwise. approximate: "none" (erf) or "tanh", as torch.nn.functional.gelu.
 * Source: Hendrycks and Gimpel 2016, arXiv:1606.08415. */
#ifndef GRAFT_CONTRACT_GELU_H
#define GRAFT_CONTRACT_GELU_H

#include "../abi/contract.h"

static const graft_argument graft_contract_gelu_1_arguments[] = {
    {"x", GRAFT_IN, GRAFT_ARG_KEPT, "T", "..."},
    {"out", GRAFT_OUT, 0, "T", "..."},
};

static const graft_attribute graft_contract_gelu_1_attributes[] = {
    {"approximate", GRAFT_STRING, 0, 0, 0.0, "none"},
};

static const graft_tolerance graft_contract_gelu_1_tolerances[] = {
    {{GRAFT_DTYPE_FLOAT, 64, 1}, 1e-12, 1e-12},
    {{GRAFT_DTYPE_FLOAT, 32, 1}, 0.0001, 1e-05},
    {{GRAFT_DTYPE_FLOAT, 16, 1}, 0.01, 0.001},
    {{GRAFT_DTYPE_BFLOAT, 16, 1}, 0.016, 0.01},
};

static const graft_contract graft_contract_gelu_1 = {
    sizeof(graft_contract), 1,
    "GELU/1",
    graft_contract_gelu_1_arguments, 2,
    1, graft_contract_gelu_1_attributes,
    graft_contract_gelu_1_tolerances, 4,
};

#endif
