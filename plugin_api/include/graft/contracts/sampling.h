/* Sampling/1: the next token of each row: temperature, then top-k, then top-p (nucleus), then a draw. B rows, V tokens of the
 * vocabulary.
 *
 * temperature: > 0; logits are divided by it.
 * top_k: k > 0 keeps the k largest logits, and those equal to the last of them; 0: all.
 * top_p: p < 1 keeps the fewest of the most likely tokens left whose probabilities reach p of the sum of theirs, at least one;
 * of equally likely ones those with the lower ids. 1: all.
 * uniform: in [0, 1), decides the draw: the token in whose share of the sum it falls, the shares of those kept standing in the
 * order of their ids.
 * All four are read from the device's memory, so that a captured graph can be replayed with others.
 * tokens: -1 for a row that has no distribution: a logit is NaN or +infinity, or all are -infinity.
 * Source: transformers' TemperatureLogitsWarper, TopKLogitsWarper and TopPLogitsWarper. */
#ifndef GRAFT_CONTRACT_SAMPLING_H
#define GRAFT_CONTRACT_SAMPLING_H

#include "../abi/contract.h"

static const graft_argument graft_contract_sampling_1_arguments[] = {
    {"logits", GRAFT_IN, GRAFT_ARG_ROWS, "T", "B V"},
    {"uniform", GRAFT_IN, 0, "float64", "B"},
    {"temperature", GRAFT_IN, 0, "float64", "1"},
    {"top_k", GRAFT_IN, 0, "int64", "1"},
    {"top_p", GRAFT_IN, 0, "float64", "1"},
    {"tokens", GRAFT_OUT, 0, "int64", "B"},
};

/* Tokens are whole numbers: equal or not. */
static const graft_tolerance graft_contract_sampling_1_tolerances[] = {
    {{GRAFT_DTYPE_FLOAT, 64, 1}, 1e-9, 0.5},
    {{GRAFT_DTYPE_FLOAT, 32, 1}, 1e-9, 0.5},
    {{GRAFT_DTYPE_FLOAT, 16, 1}, 1e-9, 0.5},
    {{GRAFT_DTYPE_BFLOAT, 16, 1}, 1e-9, 0.5},
};

static const graft_contract graft_contract_sampling_1 = {
    sizeof(graft_contract), 1,
    "Sampling/1",
    graft_contract_sampling_1_arguments, 6,
    0, 0,
    graft_contract_sampling_1_tolerances, 4,
};

#endif
