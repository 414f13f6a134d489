#include "probe_report.h"

#include <csignal>
#include <cstring>
#include <map>

#include "json_text.h"

namespace graft {
namespace {

using detail::Json;

constexpr std::size_t kMaxNotes = 32;

struct Report {
  std::string hello, stage, entry, denied;
  std::optional<std::uint64_t> memory;
  std::string who_wanted_memory;  // it may have lived on without
  std::optional<Error> error;
  std::vector<std::string> notes;
  bool ok = false, disturbed = false;
};

std::optional<ErrorCode> code_named(std::string_view word) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::internal); ++i)
    if (name(static_cast<ErrorCode>(i)) == word) return static_cast<ErrorCode>(i);
  return std::nullopt;
}

/// What was running: "its constructor", "forward of LigerRMSNorm".
std::string who(const Report& report) {
  static const std::map<std::string, std::string> kNames = {
      {"link", "its constructor"},
      {"init", "its init"},
      {"entries", "entry_count or entry_at"},
      {"end", "its deinit, or a destructor as the process ended,"}};
  auto it = kNames.find(report.stage);
  if (it != kNames.end()) return it->second;
  if (report.stage.empty() || report.stage == "abi") return "it";
  return report.stage + (report.entry.empty() ? "" : " of " + report.entry);
}

void read_line(std::string_view line, Report& report) {
  Json object = detail::parse_object(line, "a line");
  detail::Fields fields(object, "a line");
  if (fields.has("hello")) report.hello = fields.text("hello");
  if (fields.has("stage")) {
    report.stage = fields.text("stage");
    report.entry = fields.optional_text("of").value_or("");
  }
  if (fields.has("note") && report.notes.size() < kMaxNotes) report.notes.push_back(fields.text("note"));
  if (fields.has("denied")) report.denied = fields.text("denied");
  if (auto bytes = fields.integer("memory"); bytes && !report.memory) {
    report.memory = static_cast<std::uint64_t>(*bytes);
    report.who_wanted_memory = who(report);
  }
  if (fields.has("error")) {
    detail::Fields error = fields.object("error");
    report.error = Error(code_named(error.text("code")).value_or(ErrorCode::plugin), error.text("what"),
                         error.text("why"), error.text("mend"));
  }
  if (fields.has("ok")) report.ok = true;
}

Report read(std::string_view text) {
  Report report;
  while (!text.empty()) {
    std::size_t end = text.find('\n');
    try {
      read_line(text.substr(0, end), report);
    } catch (const std::exception&) {
      report.disturbed = true;
    }
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return report;
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::uint64_t kMiB = 1 << 20, kGiB = 1 << 30;
  if (bytes >= kGiB && bytes % kGiB == 0) return std::to_string(bytes / kGiB) + " GiB";
  return std::to_string((bytes + kMiB - 1) / kMiB) + " MiB";
}

std::string time_text(std::chrono::milliseconds time) {
  return time.count() % 1000 == 0 ? std::to_string(time.count() / 1000) + " s"
                                  : std::to_string(time.count()) + " ms";
}

std::string signal_name(int signal) {
  const char* word = sigabbrev_np(signal);
  return word ? "SIG" + std::string(word) : "signal " + std::to_string(signal);
}

/// Why it is to be quarantined; empty if there is nothing.
std::string why_failed(const Report& report, const ProcessEnd& end, const ProbeLimits& limits) {
  const std::string subject = who(report);
  if (!report.denied.empty()) return subject + " tried to " + report.denied + ", which no kernel may";
  if (report.memory)
    return report.who_wanted_memory + " asked for more memory than " + size_text(limits.memory) + " (" +
           size_text(*report.memory) + " at once)";
  if (end.timed_out || end.signal == SIGXCPU) return subject + " took longer than " + time_text(limits.time);
  if (end.signal == SIGXFSZ) return subject + " wrote to a file";
  if (end.signal == SIGKILL || end.signal == SIGTERM)
    return subject + " was ended by " + signal_name(*end.signal);
  if (end.signal) return subject + " crashed (" + signal_name(*end.signal) + ")";
  if (report.disturbed) return subject + " wrote into the probe's result";
  if (report.error) return {};  // said in an orderly way
  if (!report.ok && end.exit_code)
    return subject + " ended the process (exit " + std::to_string(*end.exit_code) + ")";
  if (end.exit_code.value_or(0) != 0)
    return "a destructor ended the process (exit " + std::to_string(*end.exit_code) + ")";
  if (!report.ok) return subject + " ended the process";
  return {};
}

}  // namespace

ProbeResult judge_probe(std::string_view text, const ProcessEnd& end, const ProbeLimits& limits) {
  Report report = read(text);
  if (report.hello.empty())
    throw Error(ErrorCode::io, "graft-probe",
                "it did not start" + (end.signal      ? " (" + signal_name(*end.signal) + ")"
                                      : end.exit_code ? " (exit " + std::to_string(*end.exit_code) + ")"
                                                      : std::string()),
                "run it by hand to see why, or reinstall Graft");
  if (report.hello != GRAFT_VERSION)
    throw Error(ErrorCode::internal, "graft-probe",
                "it is of Graft " + report.hello + "; this is " + GRAFT_VERSION,
                "reinstall Graft, so that both are of one version");
  ProbeResult result;
  result.notes = std::move(report.notes);
  result.reason = why_failed(report, end, limits);
  if (!result.reason.empty()) {
    result.state = ProbeResult::State::failed;
  } else if (report.error) {
    result.state = ProbeResult::State::refused;
    result.error = std::move(report.error);
  } else {
    result.state = ProbeResult::State::passed;
  }
  return result;
}

}  // namespace graft
