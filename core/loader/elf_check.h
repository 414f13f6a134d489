// A look at an ELF file before the dynamic linker sees it, since that trusts what it reads and runs
// constructors.
#pragma once

#include <string>
#include <string_view>

namespace graft {

/// Throws Error unless `bytes` are a whole shared object for this CPU that exports graft_plugin_entry and has
/// no GNU-unique symbols: corrupt (no ELF, truncated, a program), unsupported (another CPU), plugin
/// (symbols). `file` is its name in messages. Reads untrusted bytes. Pure.
void check_elf(std::string_view bytes, const std::string& file);

}  // namespace graft
