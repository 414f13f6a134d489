// What graft-probe wrote, and what to make of it together with how it ended.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "probe.h"

namespace graft {

/// How a process ended. Neither code nor signal: somebody else reaped it.
struct ProcessEnd {
  bool timed_out = false;
  std::optional<int> exit_code, signal;
};

/// `text` is a line of JSON for each thing that happened, in order; the plugin may have written into it. Each
/// is an object with one of
///   hello   version of Graft, first of all           stage  what runs next: "link", "init", "forward", …
///   note    something that is no failure             of     beside a stage: the entry's name
///   memory  bytes that were asked for and refused    denied what the plugin tried and may not: "start a
///   process" error   {code, what, why, mend}                  ok     true: all that was to be tried was
/// Throws Error: io (graft-probe did not come to say hello), internal (another version).
ProbeResult judge_probe(std::string_view text, const ProcessEnd& end, const ProbeLimits& limits);

}  // namespace graft
