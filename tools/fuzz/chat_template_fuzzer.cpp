// A stranger's Jinja, parsed and rendered: it ends, and touches nothing but its text.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "graft/chat_template.h"
#include "graft/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::array<graft::ChatMessage, 2> messages = {{{"system", "be brief"}, {"user", "hi"}}};
  try {
    graft::ChatTemplate::parse({reinterpret_cast<const char*>(data), size}).render(messages);
  } catch (const graft::Error& error) {
    if (error.code() == graft::ErrorCode::internal) __builtin_trap();
  }
  return 0;
}
