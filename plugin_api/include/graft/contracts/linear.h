/* Linear/1: out = x @ weight^T + bias, as torch.nn.Linear. */
#ifndef GRAFT_CONTRACT_LINEAR_H
#define GRAFT_CONTRACT_LINEAR_H

#include "../abi/contract.h"

static const graft_argument graft_contract_linear_1_arguments[] = {
    {"x", GRAFT_IN, GRAFT_ARG_KEPT | GRAFT_ARG_ROWS, "T", "... K"},
    {"weight", GRAFT_IN, GRAFT_ARG_WEIGHT | GRAFT_ARG_KEPT, "T", "N K"},
    {"bias", GRAFT_IN, GRAFT_ARG_WEIGHT | GRAFT_ARG_OPTIONAL, "T", "N"},
    {"out", GRAFT_OUT, 0, "T", "... N"},
};

static const graft_tolerance graft_contract_linear_1_tolerances[] = {
    {{GRAFT_DTYPE_FLOAT, 64, 1}, 1e-10, 1e-10},
    {{GRAFT_DTYPE_FLOAT, 32, 1}, 0.001, 0.0001},
    {{GRAFT_DTYPE_FLOAT, 16, 1}, 0.01, 0.01},
    {{GRAFT_DTYPE_BFLOAT, 16, 1}, 0.03, 0.03},
};

static const graft_contract graft_contract_linear_1 = {
    sizeof(graft_contract), 1,
    "Linear/1",
    graft_contract_linear_1_arguments, 4,
    0, 0,
    graft_contract_linear_1_tolerances, 4,
};

#endif
