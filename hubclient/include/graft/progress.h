// Progress of long work: a callback's type, and a bar for terminals.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace graft {

struct Progress {
  std::string label;              // "Qwen/Qwen3-0.6B"
  std::uint64_t bytes = 0;        // got, those found half-done from an earlier try included
  std::uint64_t received = 0;     // over the network, what was thrown away again included
  std::uint64_t total_bytes = 0;  // to get
  std::size_t files = 0, total_files = 0;
  bool done = false;  // the last call of this work, also when it failed
};

/// Called some ten times a second while the work goes on, by whichever thread is at it, never by two at once.
using ProgressCallback = std::function<void(const Progress&)>;

/// A bar on standard error with speed and time left, drawn over itself. Nothing of it is left if the work
/// took less than half a second.
ProgressCallback terminal_progress();

/// What the bar shows, at most `columns` wide: "norm  ████▌      42 %  12.3 of 29.1 MB  8.1 MB/s  2 s left".
/// `bytes_per_second` 0: not known yet.
std::string render_progress(const Progress& progress, double bytes_per_second, std::size_t columns);

}  // namespace graft
