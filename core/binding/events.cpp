#include "graft/events.h"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "event_sink.h"
#include "log.h"

namespace graft {

struct EventSubscription::Listener {
  std::recursive_mutex mutex;                   // held while the callback runs, which may end its own subscription
  std::function<void(const Event&)> callback;
  bool calls = false;
  bool ended = false;
};

namespace {

using Listener = EventSubscription::Listener;

struct Listeners {
  std::mutex mutex;
  std::vector<std::shared_ptr<Listener>> all;
};

Listeners& listeners() {
  static auto* instance = new Listeners;  // layers may run while the process ends
  return *instance;
}

thread_local bool quiet = false;

void add(const std::shared_ptr<Listener>& listener) {
  const std::lock_guard lock(listeners().mutex);
  listeners().all.push_back(listener);
  ++event_sink::listeners;
  if (listener->calls) ++event_sink::call_listeners;
}

void remove(const std::shared_ptr<Listener>& listener) {
  {
    const std::lock_guard lock(listeners().mutex);
    std::erase(listeners().all, listener);
    --event_sink::listeners;
    if (listener->calls) --event_sink::call_listeners;
  }
  const std::lock_guard until_its_call_is_over(listener->mutex);
  listener->ended = true;
}

void call(Listener& listener, const Event& event) {
  const std::lock_guard lock(listener.mutex);
  if (listener.ended) return;
  try {
    listener.callback(event);
  } catch (const std::exception& e) {
    log(LogLevel::warning, "events", std::string("a callback threw: ") + e.what());
  } catch (...) {
    log(LogLevel::warning, "events", "a callback threw something that is no std::exception");
  }
}

}  // namespace

std::string_view name(Event::Kind kind) {
  switch (kind) {
    case Event::Kind::bound: return "bound";
    case Event::Kind::own: return "own";
    case Event::Kind::fallback: return "fallback";
    case Event::Kind::disabled: return "disabled";
    case Event::Kind::error: return "error";
    case Event::Kind::call: return "call";
  }
  return "own";
}

EventSubscription::EventSubscription(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}

EventSubscription& EventSubscription::operator=(EventSubscription&& other) noexcept {
  std::swap(listener_, other.listener_);
  if (const auto before = std::exchange(other.listener_, nullptr)) remove(before);
  return *this;
}

EventSubscription::~EventSubscription() {
  if (listener_ != nullptr) remove(listener_);
}

EventSubscription on_event(std::function<void(const Event&)> callback, EventOptions options) {
  const auto listener = std::make_shared<Listener>();
  listener->callback = std::move(callback);
  listener->calls = options.calls;
  add(listener);
  return EventSubscription(listener);
}

namespace event_sink {

void tell(const Event& event) {
  if (quiet) return;
  std::vector<std::shared_ptr<Listener>> heard;
  {
    const std::lock_guard lock(graft::listeners().mutex);
    heard = graft::listeners().all;
  }
  const Quiet no_events_of_events;
  for (const auto& listener : heard) {
    if (event.kind != Event::Kind::call || listener->calls) call(*listener, event);
  }
}

void tell(const LayerReport& line, double seconds) {
  if (!is_heard()) return;
  constexpr auto kind_of = [](LayerState state) {
    switch (state) {
      case LayerState::bound: return Event::Kind::bound;
      case LayerState::fallback: return Event::Kind::fallback;
      case LayerState::disabled: return Event::Kind::disabled;
      case LayerState::own: return Event::Kind::own;
    }
    return Event::Kind::own;
  };
  tell({kind_of(line.state), line.layer, line.module, line.reference, line.reason, seconds});
}

Quiet::Quiet() : before_(std::exchange(quiet, true)) {}
Quiet::~Quiet() { quiet = before_; }

}  // namespace event_sink
}  // namespace graft
