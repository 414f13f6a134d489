/* RMSNormMLP/1: out = SwiGLUMLP(RMSNorm(x)), a norm and the MLP after it as one kernel: a fusion of two layers.
 * Member 0 is RMSNorm, member 1 SwiGLUMLP; "1.gate" is the weight `gate` of member 1 and "0.eps" the attribute `eps` of member 0, so
 * that a host finds them in the layers themselves. The norm is rounded to T before the MLP reads it, as if the two ran one after
 * the other. Source: rms_norm.h, swiglu_mlp.h. */
#ifndef GRAFT_CONTRACT_RMS_NORM_MLP_H
#define GRAFT_CONTRACT_RMS_NORM_MLP_H

#include "../abi/contract.h"

static const graft_argument graft_contract_rms_norm_mlp_1_arguments[] = {
    {"x", GRAFT_IN, GRAFT_ARG_KEPT | GRAFT_ARG_ROWS, "T", "... H"},
    {"0.weight", GRAFT_IN, GRAFT_ARG_WEIGHT | GRAFT_ARG_KEPT, "T", "H"},
    {"1.gate", GRAFT_IN, GRAFT_ARG_WEIGHT | GRAFT_ARG_KEPT, "T", "I H"},
    {"1.up", GRAFT_IN, GRAFT_ARG_WEIGHT | GRAFT_ARG_KEPT, "T", "I H"},
    {"1.down", GRAFT_IN, GRAFT_ARG_WEIGHT | GRAFT_ARG_KEPT, "T", "H I"},
    {"out", GRAFT_OUT, 0, "T", "... H"},
};

static const graft_attribute graft_contract_rms_norm_mlp_1_attributes[] = {
    {"0.eps", GRAFT_FLOAT, 1, 0, 0.0, 0},
};

static const graft_tolerance graft_contract_rms_norm_mlp_1_tolerances[] = {
    {{GRAFT_DTYPE_FLOAT, 64, 1}, 1e-10, 1e-10},
    {{GRAFT_DTYPE_FLOAT, 32, 1}, 0.001, 0.0001},
    {{GRAFT_DTYPE_FLOAT, 16, 1}, 0.02, 0.02},
    {{GRAFT_DTYPE_BFLOAT, 16, 1}, 0.05, 0.05},
};

static const graft_contract graft_contract_rms_norm_mlp_1 = {
    sizeof(graft_contract), 1,
    "RMSNormMLP/1",
    graft_contract_rms_norm_mlp_1_arguments, 6,
    1, graft_contract_rms_norm_mlp_1_attributes,
    graft_contract_rms_norm_mlp_1_tolerances, 4,
};

#endif
