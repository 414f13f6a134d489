/* DecoderLayer/1: One decoder layer of Llama or Qwen3 for the tokens that are new, with a KV cache that it extends in place: RMSNorm, q, k
 * and v, their norms (Qwen3), rotary embedding, attention over the cache and the new tokens, o, residual connection, RMSNorm, SwiGLUMLP,
 * residual connection. B batch, T new tokens, H hidden size, M cache capacity, D head dimension, A = query heads * D, E = key heads * D,
 * K key heads, I the MLP's size.
 * length: tokens of each row that the cache holds, read from device memory, so that a captured graph can be replayed; the new ones go
 * behind them, and are at these positions of cos and sin as well, which hold one row for each position. Where a row's length + T
 * exceeds M what is written and returned for it is not defined, but lies within the arguments.
 * sliding_window: w > 0 hides keys more than w - 1 before the query; 0: none.
 * Source: transformers' LlamaDecoderLayer and Qwen3DecoderLayer. */
#ifndef GRAFT_CONTRACT_DECODER_LAYER_H
#define GRAFT_CONTRACT_DECODER_LAYER_H

#include "../abi/contract.h"

static const graft_argument graft_contract_decoder_layer_1_arguments[] = {
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
    {"cos", GRAFT_IN, 0, "T", "M D"},
    {"sin", GRAFT_IN, 0, "T", "M D"},
    {"length", GRAFT_IN, 0, "int32", "B"},
    {"k_cache", GRAFT_INOUT, GRAFT_ARG_ROWS, "T", "B K M D"},
    {"v_cache", GRAFT_INOUT, GRAFT_ARG_ROWS, "T", "B K M D"},
    {"out", GRAFT_OUT, 0, "T", "B T H"},
};

static const graft_attribute graft_contract_decoder_layer_1_attributes[] = {
    {"eps", GRAFT_FLOAT, 1, 0, 0.0, 0},
    {"scale", GRAFT_FLOAT, 1, 0, 0.0, 0},
    {"sliding_window", GRAFT_INT, 0, 0, 0.0, 0},
};

static const graft_tolerance graft_contract_decoder_layer_1_tolerances[] = {
    {{GRAFT_DTYPE_FLOAT, 64, 1}, 1e-10, 1e-10},
    {{GRAFT_DTYPE_FLOAT, 32, 1}, 0.001, 0.0001},
    {{GRAFT_DTYPE_FLOAT, 16, 1}, 0.01, 0.01},
    {{GRAFT_DTYPE_BFLOAT, 16, 1}, 0.03, 0.03},
};

static const graft_contract graft_contract_decoder_layer_1 = {
    sizeof(graft_contract), 1,
    "DecoderLayer/1",
    graft_contract_decoder_layer_1_arguments, 18,
    3, graft_contract_decoder_layer_1_attributes,
    graft_contract_decoder_layer_1_tolerances, 4,
};

#endif
