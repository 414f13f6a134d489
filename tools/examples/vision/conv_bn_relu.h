/* ConvBNReLU/1: out = max(0, batch_norm(conv2d(x, weight))), kernels of 3 x 3, stride 1, padding 1, the normalisation by
 * running statistics, as in inference. A host's own contract: host and plugin agree on this header. */
#ifndef EXAMPLE_CONV_BN_RELU_H
#define EXAMPLE_CONV_BN_RELU_H

#include <graft/abi/contract.h>

static const graft_argument conv_bn_relu_1_arguments[] = {
    {"x", GRAFT_IN, 0, "T", "B C H W"},
    {"weight", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "O C 3 3"},
    {"gamma", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "O"},
    {"beta", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "O"},
    {"mean", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "O"},
    {"variance", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "O"},
    {"out", GRAFT_OUT, 0, "T", "B O H W"},
};

static const graft_attribute conv_bn_relu_1_attributes[] = {{"eps", GRAFT_FLOAT, 1, 0, 0.0, 0}};

static const graft_tolerance conv_bn_relu_1_tolerances[] = {{{GRAFT_DTYPE_FLOAT, 32, 1}, 1e-4, 1e-5}};

static const graft_contract conv_bn_relu_1 = {
    sizeof(graft_contract), 1, "ConvBNReLU/1",
    conv_bn_relu_1_arguments, 7,
    1, conv_bn_relu_1_attributes,
    conv_bn_relu_1_tolerances, 1,
};

#endif
