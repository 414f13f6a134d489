/* The standard contracts. Each header stands alone; this one lists them. */
#ifndef GRAFT_CONTRACTS_H
#define GRAFT_CONTRACTS_H

#include "contracts/add_rms_norm.h"
#include "contracts/attention.h"
#include "contracts/decoder_layer.h"
#include "contracts/for_causal_lm_loss.h"
#include "contracts/geglu_mlp.h"
#include "contracts/gelu.h"
#include "contracts/gelu_and_mul.h"
#include "contracts/linear.h"
#include "contracts/paged_attention.h"
#include "contracts/rms_norm.h"
#include "contracts/rms_norm_mlp.h"
#include "contracts/rotary_pos_emb.h"
#include "contracts/sampling.h"
#include "contracts/silu.h"
#include "contracts/silu_and_mul.h"
#include "contracts/swiglu_mlp.h"
#include "contracts/varlen_attention.h"

static const graft_contract* const graft_standard_contracts[] = {
    &graft_contract_rms_norm_1,
    &graft_contract_add_rms_norm_1,
    &graft_contract_linear_1,
    &graft_contract_swiglu_mlp_1,
    &graft_contract_geglu_mlp_1,
    &graft_contract_silu_1,
    &graft_contract_silu_and_mul_1,
    &graft_contract_gelu_1,
    &graft_contract_gelu_and_mul_1,
    &graft_contract_rotary_pos_emb_1,
    &graft_contract_attention_1,
    &graft_contract_varlen_attention_1,
    &graft_contract_paged_attention_1,
    &graft_contract_for_causal_lm_loss_1,
    &graft_contract_rms_norm_mlp_1,
    &graft_contract_decoder_layer_1,
    &graft_contract_sampling_1,
};

enum { graft_standard_contract_count = sizeof(graft_standard_contracts) / sizeof(graft_standard_contracts[0]) };

#endif
