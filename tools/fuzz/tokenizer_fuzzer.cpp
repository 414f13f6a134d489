// A stranger's tokenizer.json, and text through what it makes.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "graft/error.h"
#include "graft/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const graft::Tokenizer tokenizer = graft::Tokenizer::from_json(text);
    tokenizer.decode(tokenizer.encode("hello \xff w\xc3\xb6rld 123"));
  } catch (const graft::Error& error) {
    if (error.code() == graft::ErrorCode::internal) __builtin_trap();
  }
  return 0;
}
