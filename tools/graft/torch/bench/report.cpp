#include "report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace graft::bench {
namespace {

using nlohmann::ordered_json;

ordered_json json_of(const Spread& spread) {
  return {{"median", spread.median}, {"low", spread.low}, {"high", spread.high}};
}

ordered_json json_of(const Case& c) {
  ordered_json row = {
      {"entry", c.entry},          {"contract", c.contract},
      {"shape", c.shape},          {"dtype", c.dtype},
      {"correct", c.correct()},    {"error", nullptr},
      {"own_error", nullptr},      {"tolerance", {{"rtol", c.tolerance.rtol}, {"atol", c.tolerance.atol}}},
      {"own_us", nullptr},         {"kernel_us", nullptr},
      {"ratio", nullptr},          {"gb_s", nullptr},
      {"bandwidth_share", nullptr}};
  if (!c.failure.empty()) {
    row["failure"] = c.failure;
    return row;
  }
  row["error"] = c.error.largest;  // NaN becomes null
  row["own_error"] = c.own_error.largest;
  row["error_share"] = c.error.share;
  row["own_error_share"] = c.own_error.share;
  row["own_us"] = json_of(c.timing.own);
  row["kernel_us"] = json_of(c.timing.kernel);
  row["rounds"] = c.timing.rounds;
  row["ratio"] = c.ratio;
  row["gb_s"] = c.gb_s;
  row["bandwidth_share"] = c.bandwidth_share;
  return row;
}

}  // namespace

bool Report::all_correct() const {
  return std::all_of(cases.begin(), cases.end(), [](const Case& c) { return c.correct(); });
}

std::string json_of(const Report& report) {
  ordered_json out = {{"ref", report.ref},
                      {"repo", report.repo},
                      {"revision", report.revision},
                      {"commit", report.commit},
                      {"variant", report.variant},
                      {"digest", report.digest},
                      {"device", report.device},
                      {"machine", report.machine},
                      {"threads", report.threads},
                      {"bandwidth_gb_s", report.bandwidth_gb_s},
                      {"other_load", report.other_load},
                      {"cases", ordered_json::array()},
                      {"skipped", ordered_json::array()}};
  for (const Case& c : report.cases) out["cases"].push_back(json_of(c));
  for (const Skipped& skipped : report.skipped) {
    out["skipped"].push_back({{"entry", skipped.entry}, {"reason", skipped.reason}});
  }
  return out.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

double mean_ratio(const Report& report, const std::string& entry) {
  double logs = 0;
  int count = 0;
  for (const Case& c : report.cases) {
    if (c.entry != entry || !c.correct() || !(c.ratio > 0)) continue;
    logs += std::log(c.ratio);
    ++count;
  }
  return count == 0 ? 0 : std::exp(logs / count);
}

std::vector<std::string> entries_of(const Report& report) {
  std::vector<std::string> entries;
  for (const Case& c : report.cases) {
    if (std::find(entries.begin(), entries.end(), c.entry) == entries.end()) entries.push_back(c.entry);
  }
  return entries;
}

}  // namespace graft::bench
