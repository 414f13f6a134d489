// Text for people: colours only on a terminal, and no byte that a terminal would act on.
#pragma once

#include <string>
#include <string_view>

namespace graft {

enum class Style { bold, red, green, yellow, dim };

/// `text` in a style if standard output (standard error) is a terminal and NO_COLOR is not set; else as it
/// is.
std::string styled(std::string_view text, Style style, bool on_stderr = false);

/// Control bytes besides newline as '?': what is printed may come from a stranger's repo.
std::string printable(std::string_view text);

}  // namespace graft
