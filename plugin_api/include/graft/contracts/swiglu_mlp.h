/* SwiGLUMLP/1: out = (silu(x @ gate^T) * (x @ up^T)) @ down^T, the MLP of Llama and Qwen3 as one kernel.
 * Source: Shazeer 2020, arXiv:2002.05202; transformers' LlamaMLP. */
#ifndef GRAFT_CONTRACT_SWIGLU_MLP_H
#define GRAFT_CONTRACT_SWIGLU_MLP_H

#include "../abi/contract.h"

static const graft_argument graft_contract_swiglu_mlp_1_arguments[] = {
    {"x", GRAFT_IN, GRAFT_ARG_KEPT | GRAFT_ARG_ROWS, "T", "... H"},
    {"gate", GRAFT_IN, GRAFT_ARG_WEIGHT | GRAFT_ARG_KEPT, "T", "I H"},
    {"up", GRAFT_IN, GRAFT_ARG_WEIGHT | GRAFT_ARG_KEPT, "T", "I H"},
    {"down", GRAFT_IN, GRAFT_ARG_WEIGHT | GRAFT_ARG_KEPT, "T", "H I"},
    {"out", GRAFT_OUT, 0, "T", "... H"},
    {"gate_out", GRAFT_OUT, GRAFT_ARG_SAVED | GRAFT_ARG_OPTIONAL, "T", "... I"},
    {"up_out", GRAFT_OUT, GRAFT_ARG_SAVED | GRAFT_ARG_OPTIONAL, "T", "... I"},
};

static const graft_tolerance graft_contract_swiglu_mlp_1_tolerances[] = {
    {{GRAFT_DTYPE_FLOAT, 64, 1}, 1e-10, 1e-10},
    {{GRAFT_DTYPE_FLOAT, 32, 1}, 0.001, 0.0001},
    {{GRAFT_DTYPE_FLOAT, 16, 1}, 0.01, 0.01},
    {{GRAFT_DTYPE_BFLOAT, 16, 1}, 0.03, 0.03},
};

static const graft_contract graft_contract_swiglu_mlp_1 = {
    sizeof(graft_contract), 1,
    "SwiGLUMLP/1",
    graft_contract_swiglu_mlp_1_arguments, 7,
    0, 0,
    graft_contract_swiglu_mlp_1_tolerances, 4,
};

#endif
