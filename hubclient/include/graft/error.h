// graft::Error: what every part of Graft throws. Header-only, no dependency.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace graft {

enum class ErrorCode {
  invalid_argument,    // the caller's words are off: a malformed reference, an unknown option
  not_found,           // a repo, file, entry, layer or tensor that is not there
  revision_not_found,  // the repo is there, and has no such tag, branch, commit or version
  unauthorized,        // the Hub does not know the token, or it may not do this
  gated,               // a repo whose files are given to those alone who asked its publisher
  corrupt,             // bytes that do not hold what they promise: bad format, truncated, wrong checksum
  untrusted,           // refused by the trust policy; a server whose certificate does not hold
  unsupported,         // well-formed, but not for this host, device, dtype or version of Graft
  offline,             // needs the network, which is switched off or out of reach
  timed_out,           // an answer or its next bytes did not come in time
  unavailable,         // the server answers, but not now: overloaded (429) or broken (5xx)
  io,                  // the operating system said no: permissions, a broken disk
  disk_full,           // no space, or no quota, left
  cancelled,           // stopped by who asked for it
  plugin,              // a plugin failed: init, create, prepare or forward
  internal,            // a defect of Graft's
};

/// "not_found", "corrupt", …: the word used in --json output.
constexpr const char* name(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::not_found: return "not_found";
    case ErrorCode::revision_not_found: return "revision_not_found";
    case ErrorCode::unauthorized: return "unauthorized";
    case ErrorCode::gated: return "gated";
    case ErrorCode::corrupt: return "corrupt";
    case ErrorCode::untrusted: return "untrusted";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::offline: return "offline";
    case ErrorCode::timed_out: return "timed_out";
    case ErrorCode::unavailable: return "unavailable";
    case ErrorCode::io: return "io";
    case ErrorCode::disk_full: return "disk_full";
    case ErrorCode::cancelled: return "cancelled";
    case ErrorCode::plugin: return "plugin";
    case ErrorCode::internal: return "internal";
  }
  return "internal";
}

/// An error names what failed, why, and what the reader can do about it.
/// what() reads "WHAT: WHY (MEND)". Immutable; safe to copy between threads.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, std::string what, std::string why, std::string mend = {})
      : std::runtime_error(what + ": " + why + (mend.empty() ? "" : " (" + mend + ")")),
        code_(code),
        failed_(std::move(what)),
        why_(std::move(why)),
        mend_(std::move(mend)) {}

  ErrorCode code() const { return code_; }
  const std::string& failed() const { return failed_; }  // "kernel graft-kernels/norm:RMSNorm"
  const std::string& why() const { return why_; }        // "sha256 of norm.so differs from metadata.json"
  const std::string& mend() const { return mend_; }      // "download it again: graft download …"; may be empty

 private:
  ErrorCode code_;
  std::string failed_, why_, mend_;
};

}  // namespace graft
