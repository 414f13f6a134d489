// Checking: what can be said of a kernel repo as built, before anybody else gets it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "graft/plugin.h"

namespace graft {

/// What was found of one variant.
struct VariantCheck {
  enum class State {
    passed,   // it was loaded, and nothing is wrong with it
    skipped,  // this machine cannot load it: the notes say why; what could be looked at is right
    failed    // `problems` says what is wrong
  };
  std::string variant;                // "graft1-cpu-x86_64-linux"; empty of a bare library
  State state = State::passed;
  std::vector<std::string> problems;  // sentences, each with what mends it
  std::vector<std::string> notes;     // what was not looked at, and what is worth knowing
  std::vector<const graft_entry*> entries;  // of one that was loaded; valid until the process ends
};

struct RepoCheck {
  std::vector<VariantCheck> variants;  // by name
  bool passed() const;                 // none failed
};

struct CheckOptions {
  std::string device = "cpu";  // whose a library is that stands in no variant's folder
};

/// Looks at every variant of a repo (build/<variant>/ …), at the one of a variant's folder, or at a library alone:
///
///   the variant's name        → its ABI, device, CPU and system
///   metadata.json             → the digests of the files, if it is there; graft pack writes it
///   the library               → the loader's preflight: whole, of that CPU, linked to nothing else, glibc's symbols
///   graft-probe               → it links, starts and lists its entries; for CPUs each entry is called once
///   the entries               → they are for the variant's device
///
/// What a GPU's variant promises is read without a GPU, where its runtime libraries are. Trust is not asked: the files are the
/// caller's own, and their code runs in graft-probe and in this process. Any thread. Throws Error: not_found (no such
/// path, no variant, no graft-probe), io. Everything else is a problem of its variant.
RepoCheck check_repo(const std::filesystem::path& path, const CheckOptions& options = {});

}  // namespace graft
