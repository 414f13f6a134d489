#include "faults.h"

#include <charconv>
#include <string_view>

#include "graft/error.h"

namespace graft {
namespace {

struct KnownFault {
  std::string_view name;
  std::optional<Fault> Faults::*member;
  std::string_view unit;        // "": it takes no value
  std::uint64_t without_value;  // 0: the value has to be given
  std::uint64_t low, high;
  std::string_view what;
};

constexpr std::uint64_t kMaxMilliseconds = 600'000, kMaxBytes = std::uint64_t{1} << 50;

constexpr KnownFault kKnown[] = {
    {"latency", &Faults::latency, "MS", 0, 1, kMaxMilliseconds, "every response waits"},
    {"status", &Faults::status, "CODE", 0, 400, 599, "requests get this status: 429, 500, 503 …"},
    {"retry-after", &Faults::retry_after, "S", 0, 1, 86'400, "with status: a Retry-After header"},
    {"cut", &Faults::cut, "BYTES", 0, 0, kMaxBytes, "a file's body ends early, against its Content-Length"},
    {"wrong-bytes", &Faults::wrong_bytes, "", 1, 1, 1, "a file's body has one byte flipped"},
    {"wrong-length", &Faults::wrong_length, "", 1, 1, 1, "a file is half as long as its listing says"},
    {"longer", &Faults::longer, "BYTES", 1, 1, kMaxBytes, "a file is longer than its listing says"},
    {"redirect-loop", &Faults::redirect_loop, "", 1, 1, 1, "a file's address redirects to itself"},
    {"no-ranges", &Faults::no_ranges, "", 1, 1, 1, "a request for a range gets the whole file"},
    {"stall", &Faults::stall, "MS", 0, 1, kMaxMilliseconds, "a file's body stops half-way for a while"},
};

[[noreturn]] void refuse(const std::string& word, const std::string& why) {
  throw Error(ErrorCode::invalid_argument, "fault \"" + word + "\"", why,
              "write NAME[=VALUE][:TIMES]; there are\n" + describe_faults());
}

std::uint64_t number(const std::string& word, std::string_view text, std::uint64_t low, std::uint64_t high) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    refuse(word, "\"" + std::string(text) + "\" is no whole number");
  if (value < low || value > high)
    refuse(word, std::string(text) + " is not from " + std::to_string(low) + " to " + std::to_string(high));
  return value;
}

void parse_fault(const std::string& word, Faults& faults) {
  constexpr int kMaxTimes = 1'000'000;
  std::string_view rest = word;
  Fault fault;
  if (std::size_t colon = rest.find(':'); colon != rest.npos) {
    fault.times = static_cast<int>(number(word, rest.substr(colon + 1), 1, kMaxTimes));
    rest = rest.substr(0, colon);
  }
  std::size_t equals = rest.find('=');
  std::string_view name = rest.substr(0, equals);
  for (const KnownFault& known : kKnown) {
    if (known.name != name) continue;
    if (equals == rest.npos) {
      if (!known.without_value) refuse(word, "its value is missing");
      fault.value = known.without_value;
    } else {
      if (known.unit.empty()) refuse(word, "it takes no value");
      fault.value = number(word, rest.substr(equals + 1), known.low, known.high);
    }
    faults.*known.member = fault;
    return;
  }
  refuse(word, "there is no fault of this name");
}

}  // namespace

Faults parse_faults(const std::vector<std::string>& words) {
  Faults faults;
  for (const std::string& word : words) parse_fault(word, faults);
  return faults;
}

std::string describe_faults() {
  std::string text;
  for (const KnownFault& known : kKnown) {
    std::string word(known.name);
    if (!known.unit.empty())
      word += known.without_value ? "[=" + std::string(known.unit) + "]" : "=" + std::string(known.unit);
    word.resize(std::max<std::size_t>(word.size(), 16), ' ');
    text += (text.empty() ? "  " : "\n  ") + word + " " + std::string(known.what);
  }
  return text;
}

void FaultSwitch::set(Faults faults) {
  std::lock_guard lock(mutex_);
  faults_ = std::move(faults);
}

std::optional<std::uint64_t> FaultSwitch::take(std::optional<Fault> Faults::*member) {
  std::lock_guard lock(mutex_);
  std::optional<Fault>& fault = faults_.*member;
  if (!fault || fault->times == 0) return std::nullopt;
  if (fault->times > 0) --fault->times;
  return fault->value;
}

}  // namespace graft
