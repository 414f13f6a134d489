// The preflight: a look at an ELF file before the dynamic linker sees it, since that trusts what it reads and
// runs constructors.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "allowed_libraries.h"

namespace graft {

struct ElfRules {
  ElfFamily family = ElfFamily::graft;
  std::string device = "cpu";                     // whose runtime libraries it may need: "cuda", "cuda:1" …
  std::vector<std::string> extra_libraries = {};  // admitted besides those of allowed_libraries.cpp
  std::string glibc = {};                         // the host's version, "2.36"; empty: this host's own

  bool operator==(const ElfRules&) const = default;
};

struct ElfReport {
  std::vector<std::string> warnings;  // what another family may do and Graft's may not; sentences
};

/// Throws Error unless `bytes` are a whole shared object that may be linked into this process. Refused are
///   corrupt      no ELF file, truncated, a program, tables that lie outside what is loaded
///   unsupported  another CPU or operating system; symbols of a newer glibc than the host's
///   plugin       a library outside the allowed ones, a run path (siblings by $ORIGIN too: one object a
///                variant), text relocations, an executable stack, memory that can be written and executed,
///                auditors and filters, symbols made global, no graft_plugin_entry; of Graft's family also
///                GNU-unique symbols and glibc's private ones, which are warnings elsewhere.
/// `file` is its name in messages. Reads untrusted bytes. Pure.
ElfReport check_elf(std::string_view bytes, const std::string& file, const ElfRules& rules = {});

}  // namespace graft
