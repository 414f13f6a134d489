#include "graft/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>

namespace graft {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBarCells = 20;

std::string size_text(double bytes, const char* unit) {
  const char* prefix = "kMGT";
  double scaled = bytes / 1000;
  for (; scaled >= 1000 && prefix[1]; ++prefix) scaled /= 1000;
  char text[48];
  std::snprintf(text, sizeof text, scaled < 100 ? "%.1f %c%s" : "%.0f %c%s", scaled, *prefix, unit);
  return text;
}

std::string time_text(double seconds) {
  char text[48];
  long whole = std::lround(std::min(seconds, 359'999.0));
  if (whole < 60)
    std::snprintf(text, sizeof text, "%ld s", whole);
  else if (whole < 3600)
    std::snprintf(text, sizeof text, "%ld:%02ld min", whole / 60, whole % 60);
  else
    std::snprintf(text, sizeof text, "%ld:%02ld h", whole / 3600, whole / 60 % 60);
  return text;
}

/// Cells of a terminal: bytes that do not continue a UTF-8 sequence.
std::size_t width(const std::string& text) {
  std::size_t cells = 0;
  for (unsigned char c : text) cells += (c & 0xc0) != 0x80;
  return cells;
}

std::size_t terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/// One bar's state between calls. Fetches that go on at once share it, as one sum.
class Bar {
 public:
  void show(const Progress& progress) {
    std::lock_guard lock(mutex_);
    Clock::time_point now = Clock::now();
    if (fetches_.empty()) start_ = now;
    auto [fetch, fresh] = fetches_.try_emplace(progress.label);
    if (fresh) first_bytes_ += progress.bytes;
    fetch->second = progress;
    if (std::all_of(fetches_.begin(), fetches_.end(), [](const auto& each) { return each.second.done; })) {
      if (drawn_) std::fputs("\r\033[K", stderr);
      fetches_.clear();
      first_bytes_ = 0;
      drawn_ = false;
    } else if (double seconds = std::chrono::duration<double>(now - start_).count(); seconds >= 0.5) {
      Progress all = sum();
      double speed = static_cast<double>(all.bytes - std::min(all.bytes, first_bytes_)) / seconds;
      std::fprintf(stderr, "\r%s\033[K", render_progress(all, speed, terminal_columns() - 1).c_str());
      drawn_ = true;
    }
    std::fflush(stderr);
  }

 private:
  /// Under the name of one that still goes on.
  Progress sum() const {
    Progress all;
    std::size_t others = 0;
    for (const auto& [label, each] : fetches_) {
      if (!each.done && !all.label.empty()) ++others;
      if (!each.done && all.label.empty()) all.label = label;
      all.bytes += each.bytes;
      all.total_bytes += each.total_bytes;
      all.files += each.files;
      all.total_files += each.total_files;
    }
    if (others > 0) all.label += " and " + std::to_string(others) + " more";
    return all;
  }

  std::mutex mutex_;
  Clock::time_point start_{};
  std::uint64_t first_bytes_ = 0;
  // By label. Those that are done stay in the sum while others go on.
  std::map<std::string, Progress> fetches_;
  bool drawn_ = false;
};

}  // namespace

std::string render_progress(const Progress& progress, double bytes_per_second, std::size_t columns) {
  double total = static_cast<double>(progress.total_bytes), got = static_cast<double>(progress.bytes);
  double share = total > 0 ? std::min(1.0, got / total) : 0;
  std::string figures = " " + std::to_string(static_cast<int>(share * 100)) + " %  " + size_text(got, "B") + " of " +
                        size_text(total, "B");
  if (progress.total_files > 1)
    figures += "  " + std::to_string(progress.files) + "/" + std::to_string(progress.total_files) + " files";
  if (bytes_per_second > 0) {
    figures += "  " + size_text(bytes_per_second, "B/s");
    if (got < total) figures += "  " + time_text((total - got) / bytes_per_second) + " left";
  }
  std::string bar;
  auto filled = static_cast<std::size_t>(share * kBarCells);
  for (std::size_t i = 0; i < kBarCells; ++i) bar += i < filled ? "█" : "·";

  // What has no room goes: first the bar, then the label.
  std::string line;
  for (const std::string& text : {progress.label + "  " + bar + figures, progress.label + figures, figures})
    if (line = text; width(line) <= columns) return line;
  return line.substr(0, columns);
}

ProgressCallback terminal_progress() {
  return [bar = std::make_shared<Bar>()](const Progress& progress) { bar->show(progress); };
}

}  // namespace graft
