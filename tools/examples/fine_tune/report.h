// What a training has cost, as it is printed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

struct Step {
  double loss, seconds, cpu_seconds;
};

/// Processor time of this process so far, user and system, on all threads.
double cpu_seconds();
/// The most memory that this process has held so far, in MiB.
double peak_mib();

/// "step 3   loss 2.9134   1.92 s".
std::string line_of(int64_t number, const Step& step);

/// Medians leave out the first step, which reads the weights, if there are others.
struct Summary {
  int64_t tokens_per_step = 0;
  int bound = 0, layers = 0;
  bool interrupted = false;
  std::vector<Step> steps = {};

  std::string text() const;
  std::string json() const;
};
