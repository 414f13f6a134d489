// A stranger's config.json and generation_config.json.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "graft/error.h"
#include "graft/generation_config.h"
#include "graft/model_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto guarded = [](auto&& parse) {
    try {
      parse();
    } catch (const graft::Error& error) {
      if (error.code() == graft::ErrorCode::internal) __builtin_trap();
    }
  };
  guarded([&] { graft::parse_model_config(text); });
  guarded([&] { graft::parse_generation_config(text, graft::ModelConfig{}); });
  return 0;
}
