/* attention/1: out = softmax(scale * q k^T + masks) v, scores and softmax in float32. B batch, T query tokens, S key tokens,
 * Q query heads, K key heads (Q a multiple of K: head h reads key head h / (Q / K)), D and V head dimensions.
 *
 * causal: query t sees keys up to S - T + t (the last query is aligned with the last key, as with a KV cache).
 * sliding_window: w > 0 hides keys more than w - 1 before the query; 0: none.
 * softcap: c > 0 turns a score s into c * tanh(s / c) before masking; 0: none.
 * mask: true where the query may see the key, in addition to the above; a row that sees nothing gives zeros.
 * lse: log-sum-exp of the scores of a row, in float32.
 * Note the layout of out: tokens before heads, ready for the output projection, as transformers' attention functions. */
#ifndef GRAFT_CONTRACT_ATTENTION_H
#define GRAFT_CONTRACT_ATTENTION_H

#include "../abi/contract.h"

static const graft_argument graft_contract_attention_1_arguments[] = {
    {"q", GRAFT_IN, GRAFT_ARG_KEPT | GRAFT_ARG_ROWS, "T", "B Q T D"},
    {"k", GRAFT_IN, GRAFT_ARG_KEPT | GRAFT_ARG_ROWS, "T", "B K S D"},
    {"v", GRAFT_IN, GRAFT_ARG_KEPT | GRAFT_ARG_ROWS, "T", "B K S V"},
    {"mask", GRAFT_IN, GRAFT_ARG_OPTIONAL | GRAFT_ARG_KEPT | GRAFT_ARG_STRIDED, "bool", "?B ?Q ?T S"},
    {"out", GRAFT_OUT, GRAFT_ARG_KEPT, "T", "B T Q V"},
    {"lse", GRAFT_OUT, GRAFT_ARG_SAVED | GRAFT_ARG_OPTIONAL, "float32", "B Q T"},
};

static const graft_attribute graft_contract_attention_1_attributes[] = {
    {"scale", GRAFT_FLOAT, 1, 0, 0.0, 0},
    {"causal", GRAFT_BOOL, 0, 1, 0.0, 0},
    {"sliding_window", GRAFT_INT, 0, 0, 0.0, 0},
    {"softcap", GRAFT_FLOAT, 0, 0, 0.0, 0},
};

static const graft_tolerance graft_contract_attention_1_tolerances[] = {
    {{GRAFT_DTYPE_FLOAT, 64, 1}, 1e-10, 1e-10},
    {{GRAFT_DTYPE_FLOAT, 32, 1}, 0.001, 0.0001},
    {{GRAFT_DTYPE_FLOAT, 16, 1}, 0.01, 0.01},
    {{GRAFT_DTYPE_BFLOAT, 16, 1}, 0.03, 0.03},
};

static const graft_contract graft_contract_attention_1 = {
    sizeof(graft_contract), 1,
    "attention/1",
    graft_contract_attention_1_arguments, 6,
    4, graft_contract_attention_1_attributes,
    graft_contract_attention_1_tolerances, 4,
};

#endif
