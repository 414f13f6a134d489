#include "numbers.h"

#include <cmath>
#include <cstdio>

#include "other_load.h"

namespace graft::bench {

std::string number(double value) {
  if (!std::isfinite(value)) return "-";
  char text[32];
  std::snprintf(text, sizeof text, value < 9.995 ? "%.2f" : value < 99.95 ? "%.1f" : "%.0f", value);
  return text;
}

std::string spread(const Spread& spread) {
  return number(spread.median) + " (" + number(spread.low) + "–" + number(spread.high) + ")";
}

std::string percent(double share) {
  if (std::isnan(share)) return "nan";
  if (share > 0 && share < 0.01) return "<1 %";
  char text[32];
  std::snprintf(text, sizeof text, share < 1000 ? "%.0f %%" : "%.0e %%", share * 100);
  return text;
}

std::string machine_line(const Report& report) {
  const bool cpu = report.device == "cpu";
  return report.machine + ", " + std::to_string(report.threads) +
         (report.threads == 1 ? " thread" : " threads") +
         (report.bandwidth_gb_s > 0
              ? std::string(cpu ? ", reads " : ", copies ") + number(report.bandwidth_gb_s) + " GB/s"
              : "");
}

std::string disturbance_line(const Report& report) {
  if (report.other_load < kDisturbing) return "";
  return "other processes took " + percent(report.other_load) +
         " of these processors meanwhile: times of more than one thread are longer than on a quiet machine";
}

std::string package_line(const Report& report) {
  std::string line = report.repo;
  if (!report.revision.empty()) line += " " + report.revision;
  if (!report.commit.empty()) line += " " + report.commit.substr(0, 7);
  if (!report.variant.empty()) line += ", " + report.variant;
  return line;
}

}  // namespace graft::bench
