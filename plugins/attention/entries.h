// The entries of this repo that have a file of their own.
#pragma once

#include <graft/plugin.hpp>

namespace graft {

plugin::Entry varlen_attention_entry();
plugin::Entry paged_attention_entry();

}  // namespace graft
