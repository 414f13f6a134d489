/* varlen_attention/1: attention/1 over sequences of unequal lengths that stand one behind the other, without padding:
 * FlashAttention's flash_attn_varlen_func. N query tokens and M key tokens of all sequences, C one more than there are
 * sequences, Q query heads, K key heads (Q a multiple of K: head h reads key head h / (Q / K)), D and V head dimensions.
 *
 * cu_seqlens_q: sequence b has the queries [cu_seqlens_q[b], cu_seqlens_q[b + 1]). The first element is 0, none is less than
 * the one before it, and the last is N; a sequence may be empty. cu_seqlens_k likewise, with M. A kernel fails for others with
 * GRAFT_INVALID_ARGUMENT where the host can read them; on a device they are the host's promise.
 * causal: the last query of a sequence is aligned with its last key, as with a KV cache.
 * scale, sliding_window, softcap, and queries that see nothing: as in attention/1.
 * lse: log-sum-exp of the scores of a row, in float32.
 * There is no greatest length among the arguments: N and M bound it, and lengths are data, which change from call to call. */
#ifndef GRAFT_CONTRACT_VARLEN_ATTENTION_H
#define GRAFT_CONTRACT_VARLEN_ATTENTION_H

#include "../abi/contract.h"

static const graft_argument graft_contract_varlen_attention_1_arguments[] = {
    {"q", GRAFT_IN, GRAFT_ARG_KEPT | GRAFT_ARG_ROWS, "T", "N Q D"},
    {"k", GRAFT_IN, GRAFT_ARG_KEPT | GRAFT_ARG_ROWS, "T", "M K D"},
    {"v", GRAFT_IN, GRAFT_ARG_KEPT | GRAFT_ARG_ROWS, "T", "M K V"},
    {"cu_seqlens_q", GRAFT_IN, GRAFT_ARG_KEPT, "int32", "C"},
    {"cu_seqlens_k", GRAFT_IN, GRAFT_ARG_KEPT, "int32", "C"},
    {"out", GRAFT_OUT, GRAFT_ARG_KEPT, "T", "N Q V"},
    {"lse", GRAFT_OUT, GRAFT_ARG_SAVED | GRAFT_ARG_OPTIONAL, "float32", "Q N"},
};

static const graft_attribute graft_contract_varlen_attention_1_attributes[] = {
    {"scale", GRAFT_FLOAT, 1, 0, 0.0, 0},
    {"causal", GRAFT_BOOL, 0, 1, 0.0, 0},
    {"sliding_window", GRAFT_INT, 0, 0, 0.0, 0},
    {"softcap", GRAFT_FLOAT, 0, 0, 0.0, 0},
};

static const graft_tolerance graft_contract_varlen_attention_1_tolerances[] = {
    {{GRAFT_DTYPE_FLOAT, 64, 1}, 1e-10, 1e-10},
    {{GRAFT_DTYPE_FLOAT, 32, 1}, 0.001, 0.0001},
    {{GRAFT_DTYPE_FLOAT, 16, 1}, 0.01, 0.01},
    {{GRAFT_DTYPE_BFLOAT, 16, 1}, 0.03, 0.03},
};

static const graft_contract graft_contract_varlen_attention_1 = {
    sizeof(graft_contract), 1,
    "varlen_attention/1",
    graft_contract_varlen_attention_1_arguments, 7,
    4, graft_contract_varlen_attention_1_attributes,
    graft_contract_varlen_attention_1_tolerances, 4,
};

#endif
