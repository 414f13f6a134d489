// Golden numbers that transformers gave, see tests/golden/README.md.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "graft/bind_report.h"

namespace graft::testing {

inline const std::filesystem::path kGolden = std::filesystem::path(GRAFT_SOURCE_DIR) / "tests/golden";

inline nlohmann::json load_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return nlohmann::json::parse(file);
}

/// [[1, 2], [3, 4]] → int64 [2, 2]; [1, 2] → [1, 2].
inline at::Tensor ids(const nlohmann::json& rows) {
  std::vector<int64_t> flat;
  const bool nested = rows.at(0).is_array();
  if (nested) {
    for (const auto& row : rows) {
      for (const auto& id : row) flat.push_back(id.get<int64_t>());
    }
  } else {
    flat = rows.get<std::vector<int64_t>>();
  }
  const int64_t count = nested ? int64_t(rows.size()) : 1;
  return at::tensor(at::ArrayRef<int64_t>(flat)).view({count, -1});
}

inline at::Tensor floats(const nlohmann::json& values) {
  const auto flat = values.get<std::vector<float>>();
  return at::tensor(at::ArrayRef<float>(flat));
}

/// Whether nothing is bound onto the layer on a CPU until it is named.
inline bool waits_to_be_named(const LayerReport& layer) {
  return layer.layer == "paged_attention" || layer.layer == "Sampling";
}

/// The real model's folder: GRAFT_TEST_MODEL, or where tools/setup puts it.
inline std::filesystem::path smollm2() {
  if (const char* given = std::getenv("GRAFT_TEST_MODEL")) return given;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const std::filesystem::path base = cache != nullptr ? std::filesystem::path(cache)
                                                      : std::filesystem::path(std::getenv("HOME")) / ".cache";
  return base / "graft/models/SmolLM2-135M-Instruct";
}

}  // namespace graft::testing
