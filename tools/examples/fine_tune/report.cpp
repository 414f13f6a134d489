#include "report.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace {

rusage usage() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return used;
}

double median(const std::vector<Step>& steps, double Step::*value) {
  std::vector<double> values;
  for (const Step& step : steps) values.push_back(step.*value);
  if (values.size() > 1) values.erase(values.begin());
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::string formatted(const char* format, auto... values) {
  char line[160];
  std::snprintf(line, sizeof line, format, values...);
  return line;
}

}  // namespace

double cpu_seconds() {
  const rusage used = usage();
  const auto seconds = [](const timeval& time) { return double(time.tv_sec) + double(time.tv_usec) * 1e-6; };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

double peak_mib() {
  return double(usage().ru_maxrss) / 1024;
}

std::string line_of(int64_t number, const Step& step) {
  return formatted("step %-4lld  loss %.4f  %.2f s", static_cast<long long>(number), step.loss, step.seconds);
}

std::string Summary::text() const {
  const double seconds = median(steps, &Step::seconds);
  std::string text = formatted("%d of %d layers run a kernel\n", bound, layers);
  if (!steps.empty()) {
    text += formatted("%.3f steps/s, %.0f tokens/s, %.2f s of processor time a step\n", 1 / seconds,
                      double(tokens_per_step) / seconds, median(steps, &Step::cpu_seconds));
  }
  return text + formatted("peak memory %.0f MiB", peak_mib());
}

std::string Summary::json() const {
  nlohmann::ordered_json object = {{"losses", nlohmann::json::array()}, {"seconds", nlohmann::json::array()}};
  for (const Step& step : steps) {
    object["losses"].push_back(step.loss);
    object["seconds"].push_back(step.seconds);
  }
  if (!steps.empty()) {
    const double seconds = median(steps, &Step::seconds);
    object["steps_per_second"] = 1 / seconds;
    object["tokens_per_second"] = double(tokens_per_step) / seconds;
    object["cpu_seconds_per_step"] = median(steps, &Step::cpu_seconds);
  }
  object["peak_mib"] = peak_mib();
  object["bound"] = bound;
  object["layers"] = layers;
  object["interrupted"] = interrupted;
  return object.dump();
}
