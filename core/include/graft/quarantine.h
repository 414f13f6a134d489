// Quarantine: digests of plugins that failed when they were tried, and are not loaded again until lifted.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

struct QuarantinedDigest {
  std::string digest;         // "sha256:<hex>" of the library's bytes
  std::string name;           // what it was loaded as: "graft-kernels/norm"
  std::string reason;         // "its constructor crashed (SIGSEGV)"
  std::string when;           // "2026-05-04T12:30:00Z"
  std::string graft_version;  // that found it
};

// All functions may be called from any thread, and while other processes do.

/// Where Graft keeps what it learned about digests on this machine: GRAFT_STATE_DIR, else
/// $XDG_STATE_HOME/graft, else ~/.local/state/graft. Empty if the environment names none of them.
std::filesystem::path state_folder();

/// Newest first. A record that cannot be read is listed with that as its reason. Throws Error(io) if the
/// folder is there and cannot be read.
std::vector<QuarantinedDigest> list_quarantine();

/// Nothing if `digest` is not quarantined. A record that cannot be read counts. Costs one stat() then.
std::optional<QuarantinedDigest> find_quarantined(std::string_view digest);

/// Keeps `digest` ("sha256:" and 64 hex digits) out of every process of this user from now on; a record that
/// is there already stays. True if the record is on disk; false if the state folder cannot be written (it is
/// logged: the digest is tried again next time). Throws Error(invalid_argument) for another kind of digest.
bool quarantine(std::string_view digest, std::string_view name, std::string_view reason);

/// Lets it load again; its next load is tried in a probe. `digest` may be cut short to 8 hex digits or more,
/// as reports show it. The whole digest that was lifted. Throws Error: invalid_argument (no digest),
/// not_found (none, or more than one, is quarantined), io.
std::string lift_quarantine(std::string_view digest);

}  // namespace graft
