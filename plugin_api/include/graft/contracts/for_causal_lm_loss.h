/* ForCausalLMLoss/1: Mean cross entropy of hidden @ weight^T against labels, fused so that the logits [N, V] need not be held at once.
 * The caller has shifted: labels[n] is the token after hidden[n]. Rows whose label is ignore_index count neither in
 * the sum nor in the mean; if all are ignored the loss is NaN, as in torch.nn.functional.cross_entropy.
 * lse: log-sum-exp of a row's logits. */
#ifndef GRAFT_CONTRACT_FOR_CAUSAL_LM_LOSS_H
#define GRAFT_CONTRACT_FOR_CAUSAL_LM_LOSS_H

#include "../abi/contract.h"

static const graft_argument graft_contract_for_causal_lm_loss_1_arguments[] = {
    {"hidden", GRAFT_IN, GRAFT_ARG_KEPT | GRAFT_ARG_ROWS, "T", "N H"},
    {"weight", GRAFT_IN, GRAFT_ARG_WEIGHT | GRAFT_ARG_KEPT, "T", "V H"},
    {"labels", GRAFT_IN, GRAFT_ARG_KEPT, "int64", "N"},
    {"loss", GRAFT_OUT, 0, "float32", ""},
    {"lse", GRAFT_OUT, GRAFT_ARG_SAVED | GRAFT_ARG_OPTIONAL, "float32", "N"},
};

static const graft_attribute graft_contract_for_causal_lm_loss_1_attributes[] = {
    {"ignore_index", GRAFT_INT, 0, -100, 0.0, 0},
};

static const graft_tolerance graft_contract_for_causal_lm_loss_1_tolerances[] = {
    {{GRAFT_DTYPE_FLOAT, 64, 1}, 1e-10, 1e-10},
    {{GRAFT_DTYPE_FLOAT, 32, 1}, 0.0001, 1e-05},
    {{GRAFT_DTYPE_FLOAT, 16, 1}, 0.01, 0.01},
    {{GRAFT_DTYPE_BFLOAT, 16, 1}, 0.02, 0.02},
};

static const graft_contract graft_contract_for_causal_lm_loss_1 = {
    sizeof(graft_contract), 1,
    "ForCausalLMLoss/1",
    graft_contract_for_causal_lm_loss_1_arguments, 5,
    1, graft_contract_for_causal_lm_loss_1_attributes,
    graft_contract_for_causal_lm_loss_1_tolerances, 4,
};

#endif
