/* DecoderLayer/draft: Draft: may still change, so its version is no number and no released plugin should list it.
 * One decoder layer of Llama or Qwen3 in decode, with a static KV cache that it extends in place. B batch, T new
 * tokens, M cache capacity, D head dimension, A = query heads * D, E = key heads * D, R = D.
 * length: tokens already in the cache for each row, read from device memory (so that a captured graph can be replayed). */
#ifndef GRAFT_CONTRACT_DECODER_LAYER_H
#define GRAFT_CONTRACT_DECODER_LAYER_H

#include "../../abi/contract.h"

static const graft_argument graft_contract_decoder_layer_draft_arguments[] = {
    {"x", GRAFT_IN, 0, "T", "B T H"},
    {"input_norm", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "H"},
    {"q_proj", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "A H"},
    {"k_proj", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "E H"},
    {"v_proj", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "E H"},
    {"o_proj", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "H A"},
    {"q_norm", GRAFT_IN, GRAFT_ARG_WEIGHT | GRAFT_ARG_OPTIONAL, "T", "D"},
    {"k_norm", GRAFT_IN, GRAFT_ARG_WEIGHT | GRAFT_ARG_OPTIONAL, "T", "D"},
    {"post_norm", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "H"},
    {"gate", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "I H"},
    {"up", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "I H"},
    {"down", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "H I"},
    {"cos", GRAFT_IN, 0, "T", "?B T D"},
    {"sin", GRAFT_IN, 0, "T", "?B T D"},
    {"length", GRAFT_IN, 0, "int32", "B"},
    {"k_cache", GRAFT_INOUT, GRAFT_ARG_ROWS, "T", "B K M D"},
    {"v_cache", GRAFT_INOUT, GRAFT_ARG_ROWS, "T", "B K M D"},
    {"out", GRAFT_OUT, 0, "T", "B T H"},
};

static const graft_attribute graft_contract_decoder_layer_draft_attributes[] = {
    {"eps", GRAFT_FLOAT, 1, 0, 0.0, 0},
    {"scale", GRAFT_FLOAT, 1, 0, 0.0, 0},
};

static const graft_tolerance graft_contract_decoder_layer_draft_tolerances[] = {
    {{GRAFT_DTYPE_FLOAT, 64, 1}, 1e-10, 1e-10},
    {{GRAFT_DTYPE_FLOAT, 32, 1}, 0.001, 0.0001},
    {{GRAFT_DTYPE_FLOAT, 16, 1}, 0.01, 0.01},
    {{GRAFT_DTYPE_BFLOAT, 16, 1}, 0.03, 0.03},
};

static const graft_contract graft_contract_decoder_layer_draft = {
    sizeof(graft_contract), 1,
    "DecoderLayer/draft",
    graft_contract_decoder_layer_draft_arguments, 18,
    2, graft_contract_decoder_layer_draft_attributes,
    graft_contract_decoder_layer_draft_tolerances, 4,
};

#endif
