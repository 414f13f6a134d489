// Graft, for a host on LibTorch: this header, and link graft::graft.
#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "graft/activation_checkpoint.h"
#include "graft/auto_model.h"
#include "graft/bind_report.h"
#include "graft/device_map.h"
#include "graft/error.h"
#include "graft/events.h"
#include "graft/kernel_config.h"
#include "graft/kernel_mapping.h"
#include "graft/kernel_policy.h"
#include "graft/kernel_slot.h"
#include "graft/kernelize.h"
#include "graft/logger.h"
#include "graft/mode.h"
#include "graft/operators.h"
#include "graft/pretrained_model.h"
#include "graft/tokenizer.h"
