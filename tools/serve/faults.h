// Faults: what the development Hub does wrong on purpose, so that clients can be tried against it.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace graft {

/// One fault: its value (milliseconds, bytes, a status …) and how many more requests it hits.
struct Fault {
  static constexpr int kAlways = -1;
  std::uint64_t value = 0;
  int times = kAlways;
};

/// The faults that are on. Those of bodies hit GET requests for files, at the Hub and at its CDN.
struct Faults {
  std::optional<Fault> latency = {};        // every response waits so many ms
  std::optional<Fault> status = {};         // requests of any kind get this status instead
  std::optional<Fault> retry_after = {};    // those responses carry Retry-After, in seconds
  std::optional<Fault> cut = {};            // a body ends after so many bytes; more were promised
  std::optional<Fault> wrong_bytes = {};    // a body's middle byte is flipped
  std::optional<Fault> wrong_length = {};   // a file is half as long as its listing says
  std::optional<Fault> longer = {};         // a file is so many bytes longer than its listing says
  std::optional<Fault> redirect_loop = {};  // resolve redirects to itself
  std::optional<Fault> no_ranges = {};      // Range is ignored
  std::optional<Fault> stall = {};          // a body stops after its first half for so many ms
};

/// Faults from words as on the command line: {"cut=1000:1", "latency=20", "no-ranges"}, each
/// NAME[=VALUE][:TIMES]. Throws Error(invalid_argument), which lists what there is.
Faults parse_faults(const std::vector<std::string>& words);

/// The faults that parse_faults knows, one a line, for --help.
std::string describe_faults();

/// Faults as requests use them up. Any thread, at once.
class FaultSwitch {
 public:
  void set(Faults faults);

  /// The fault's value if it hits this request, which then counts against its times.
  std::optional<std::uint64_t> take(std::optional<Fault> Faults::*fault);

 private:
  std::mutex mutex_;
  Faults faults_;
};

}  // namespace graft
