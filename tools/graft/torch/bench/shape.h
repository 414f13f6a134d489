// Shapes as they are written on the command line: "1x576".
#pragma once

#include <string>
#include <string_view>

#include "draw.h"

namespace graft::bench {

using reference::Sizes;
using reference::to_text;

/// Throws Error(invalid_argument) for anything but positive numbers with x between them.
Sizes parse_shape(const std::string& text);

/// What the numbers mean for a contract: "ROWSxHIDDEN"; "" for one that has no form.
std::string_view shape_form(std::string_view contract);

/// How many numbers a form asks for.
size_t length_of_form(std::string_view form);

}  // namespace graft::bench
