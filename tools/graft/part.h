// Parts of the command that link what the program itself does not: shared objects, opened when they are asked
// for.
#pragma once

#include <string>

namespace graft {

/// The address of `symbol` in `library` ("libgraft_commands.so"), which stays open until the program ends.
/// Throws Error(not_found): `command` names what failed, `mend` says how to have the part.
void* find_in_part(const std::string& library, const std::string& symbol, const std::string& command,
                   const std::string& mend);

/// The same as a function: open_part<int(const RunOptions*)>(…)(&options).
template <class Function>
Function* open_part(const std::string& library, const std::string& symbol, const std::string& command,
                    const std::string& mend) {
  return reinterpret_cast<Function*>(find_in_part(library, symbol, command, mend));
}

}  // namespace graft
