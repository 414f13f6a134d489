// The MLP of Llama and Qwen3, alone and with the norm before it, and its activations.
#include <graft/contracts/rms_norm_mlp.h>
#include <graft/contracts/silu.h>
#include <graft/contracts/silu_and_mul.h>
#include <graft/contracts/swiglu_mlp.h>

#include <graft/plugin.hpp>

#include "../common/variant.h"
#include "activations.h"
#include "int8_swiglu_mlp.h"
#include "rms_norm_mlp.h"
#include "swiglu_mlp.h"

GRAFT_PLUGIN(graft::for_this_cpu(graft::plugin::entry<graft::SwiGLUMLP>("SwiGLUMLP", "SwiGLUMLP/1")),
             graft::in_8_bits(graft::plugin::entry<graft::Int8SwiGLUMLP>("Int8SwiGLUMLP", "SwiGLUMLP/1")),
             graft::for_this_cpu(graft::plugin::entry<graft::RMSNormMLP>("RMSNormMLP", "RMSNormMLP/1")),
             graft::for_this_cpu(graft::plugin::entry<graft::SiLU>("SiLU", "SiLU/1")),
             graft::for_this_cpu(graft::plugin::entry<graft::SiluAndMul>("SiluAndMul", "SiluAndMul/1")))
