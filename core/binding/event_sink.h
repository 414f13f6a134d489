// Where the binding layer's events go.
#pragma once

#include <atomic>

#include "graft/bind_report.h"
#include "graft/events.h"

namespace graft::event_sink {

inline std::atomic<int> listeners{0}, call_listeners{0};

inline bool is_heard() { return listeners.load(std::memory_order_relaxed) > 0; }
inline bool wants_calls() { return call_listeners.load(std::memory_order_relaxed) > 0; }

/// To everybody who is subscribed. No lock may be held that a callback could want: it may ask for reports.
void tell(const Event& event);

/// A layer's line, where it has changed.
void tell(const LayerReport& line, double seconds = 0);

/// What this thread does meanwhile is no business of a host's: the self-check's layers are Graft's own.
class Quiet {
 public:
  Quiet();
  ~Quiet();
  Quiet(const Quiet&) = delete;

 private:
  bool before_;
};

}  // namespace graft::event_sink
