/* RMSNorm/1: out = x / sqrt(mean(x^2, last dimension) + eps) * weight, the mean in float32 whatever T is.
 * Source: Zhang and Sennrich 2019, arXiv:1910.07467; transformers' LlamaRMSNorm. */
#ifndef GRAFT_CONTRACT_RMS_NORM_H
#define GRAFT_CONTRACT_RMS_NORM_H

#include "../abi/contract.h"

static const graft_argument graft_contract_rms_norm_1_arguments[] = {
    {"x", GRAFT_IN, GRAFT_ARG_KEPT | GRAFT_ARG_ROWS, "T", "... H"},
    {"weight", GRAFT_IN, GRAFT_ARG_WEIGHT | GRAFT_ARG_KEPT, "T", "H"},
    {"out", GRAFT_OUT, 0, "T", "... H"},
    {"rstd", GRAFT_OUT, GRAFT_ARG_SAVED | GRAFT_ARG_OPTIONAL, "float32", "..."},
};

static const graft_attribute graft_contract_rms_norm_1_attributes[] = {
    {"eps", GRAFT_FLOAT, 1, 0, 0.0, 0},
};

static const graft_tolerance graft_contract_rms_norm_1_tolerances[] = {
    {{GRAFT_DTYPE_FLOAT, 64, 1}, 1e-12, 1e-12},
    {{GRAFT_DTYPE_FLOAT, 32, 1}, 0.0001, 1e-05},
    {{GRAFT_DTYPE_FLOAT, 16, 1}, 0.01, 0.001},
    {{GRAFT_DTYPE_BFLOAT, 16, 1}, 0.016, 0.01},
};

static const graft_contract graft_contract_rms_norm_1 = {
    sizeof(graft_contract), 1,
    "RMSNorm/1",
    graft_contract_rms_norm_1_arguments, 4,
    1, graft_contract_rms_norm_1_attributes,
    graft_contract_rms_norm_1_tolerances, 4,
};

#endif
