// A trained model as a folder that from_pretrained reads.
#pragma once

#include <filesystem>

#include "graft/pretrained_model.h"

/// Writes `model`'s weights to to/model.safetensors, whole or not at all, and puts configuration and
/// tokenizer of the folder it came from beside it. Throws graft::Error(io).
void save_pretrained(const graft::PreTrainedModel& model, const std::filesystem::path& from,
                     const std::filesystem::path& to);
