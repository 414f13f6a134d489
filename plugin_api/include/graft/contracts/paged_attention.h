/* paged_attention/1: attention/1 over a KV cache in pages, as vLLM keeps it and FlashAttention's block_table reads it. N query
 * tokens of B sequences, one sequence behind the other; P pages of L tokens; X pages at most for a sequence; C is B + 1. Q query
 * heads, K key heads (Q a multiple of K: head h reads key head h / (Q / K)), D and V head dimensions.
 *
 * Key s of sequence b is row s % L of page block_table[b][s / L]. It has seqlens_k[b] keys, its new tokens' included, from 0 to
 * X * L; entries of block_table behind its last page are not looked at. A page may stand in several places.
 * cu_seqlens_q: sequence b has the queries [cu_seqlens_q[b], cu_seqlens_q[b + 1]). The first element is 0, none is less than
 * the one before it, and the last is N. A kernel fails with GRAFT_INVALID_ARGUMENT for lengths and pages that are not so where the
 * host can read them; on a device they are the host's promise.
 * causal: the last query of a sequence is aligned with its last key.
 * scale, sliding_window, softcap, and queries that see nothing: as in attention/1. */
#ifndef GRAFT_CONTRACT_PAGED_ATTENTION_H
#define GRAFT_CONTRACT_PAGED_ATTENTION_H

#include "../abi/contract.h"

static const graft_argument graft_contract_paged_attention_1_arguments[] = {
    {"q", GRAFT_IN, GRAFT_ARG_ROWS, "T", "N Q D"},
    {"k_pages", GRAFT_IN, GRAFT_ARG_ROWS, "T", "P L K D"},
    {"v_pages", GRAFT_IN, GRAFT_ARG_ROWS, "T", "P L K V"},
    {"block_table", GRAFT_IN, GRAFT_ARG_ROWS, "int32", "B X"},
    {"seqlens_k", GRAFT_IN, 0, "int32", "B"},
    {"cu_seqlens_q", GRAFT_IN, 0, "int32", "C"},
    {"out", GRAFT_OUT, 0, "T", "N Q V"},
};

static const graft_attribute graft_contract_paged_attention_1_attributes[] = {
    {"scale", GRAFT_FLOAT, 1, 0, 0.0, 0},
    {"causal", GRAFT_BOOL, 0, 1, 0.0, 0},
    {"sliding_window", GRAFT_INT, 0, 0, 0.0, 0},
    {"softcap", GRAFT_FLOAT, 0, 0, 0.0, 0},
};

static const graft_tolerance graft_contract_paged_attention_1_tolerances[] = {
    {{GRAFT_DTYPE_FLOAT, 64, 1}, 1e-10, 1e-10},
    {{GRAFT_DTYPE_FLOAT, 32, 1}, 0.001, 0.0001},
    {{GRAFT_DTYPE_FLOAT, 16, 1}, 0.01, 0.01},
    {{GRAFT_DTYPE_BFLOAT, 16, 1}, 0.03, 0.03},
};

static const graft_contract graft_contract_paged_attention_1 = {
    sizeof(graft_contract), 1,
    "paged_attention/1",
    graft_contract_paged_attention_1_arguments, 7,
    4, graft_contract_paged_attention_1_attributes,
    graft_contract_paged_attention_1_tolerances, 4,
};

#endif
