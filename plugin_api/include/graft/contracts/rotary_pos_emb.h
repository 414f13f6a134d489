/* rotary_pos_emb/1: Rotary position embedding of queries and keys: out = x * cos + rotate_half(x) * sin, where rotate_half(x) is
 * concat(-x[D/2:], x[:D/2]). B batch, T tokens, Q query heads, K key heads, D head dimension (even).
 * Source: Su et al. 2021, arXiv:2104.09864; transformers' apply_rotary_pos_emb. */
#ifndef GRAFT_CONTRACT_ROTARY_POS_EMB_H
#define GRAFT_CONTRACT_ROTARY_POS_EMB_H

#include "../abi/contract.h"

static const graft_argument graft_contract_rotary_pos_emb_1_arguments[] = {
    {"q", GRAFT_IN, GRAFT_ARG_ROWS, "T", "B Q T D"},
    {"k", GRAFT_IN, GRAFT_ARG_ROWS, "T", "B K T D"},
    {"cos", GRAFT_IN, GRAFT_ARG_KEPT | GRAFT_ARG_ROWS, "T", "?B T D"},
    {"sin", GRAFT_IN, GRAFT_ARG_KEPT | GRAFT_ARG_ROWS, "T", "?B T D"},
    {"q_out", GRAFT_OUT, 0, "T", "B Q T D"},
    {"k_out", GRAFT_OUT, 0, "T", "B K T D"},
};

static const graft_tolerance graft_contract_rotary_pos_emb_1_tolerances[] = {
    {{GRAFT_DTYPE_FLOAT, 64, 1}, 1e-12, 1e-12},
    {{GRAFT_DTYPE_FLOAT, 32, 1}, 1e-05, 1e-06},
    {{GRAFT_DTYPE_FLOAT, 16, 1}, 0.001, 0.001},
    {{GRAFT_DTYPE_BFLOAT, 16, 1}, 0.016, 0.01},
};

static const graft_contract graft_contract_rotary_pos_emb_1 = {
    sizeof(graft_contract), 1,
    "rotary_pos_emb/1",
    graft_contract_rotary_pos_emb_1_arguments, 6,
    0, 0,
    graft_contract_rotary_pos_emb_1_tolerances, 4,
};

#endif
