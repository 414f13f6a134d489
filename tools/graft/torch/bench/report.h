// What `graft bench` found, and how it is shown.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "correctness.h"
#include "timing.h"

namespace graft::bench {

/// One entry at one shape in one dtype.
struct Case {
  std::string entry, contract, shape, dtype;
  Deviation error, own_error;  // of the kernel and of the layer's own forward, against float64
  Tolerance tolerance;
  Timing timing;
  double ratio = 0;            // own / kernel
  double gb_s = 0;             // of the kernel: weights, inputs and outputs once
  double bandwidth_share = 0;  // of what the machine gives
  std::string failure;         // what the kernel said instead of a result; then the numbers count nothing

  bool correct() const { return failure.empty() && error.within(); }
};

struct Skipped {
  std::string entry, reason;
};

struct Report {
  std::string ref, repo, revision, commit, variant, digest;
  std::string device;   // "cpu", "cuda"
  std::string machine;  // "Intel(R) Xeon(R) Processor"
  int threads = 0;
  double bandwidth_gb_s = 0;
  double other_load = 0;  // share of the processors that other processes took meanwhile
  std::vector<Case> cases;
  std::vector<Skipped> skipped;

  bool all_correct() const;
};

/// {ref, device, threads, bandwidth_gb_s, cases: [{entry, contract, shape, dtype, correct, error, own_error,
/// tolerance, own_us, kernel_us, ratio, gb_s, bandwidth_share}], skipped: [{entry, reason}], …}; what is no
/// number is null.
std::string json_of(const Report& report);

/// A table for people, with colours on a terminal.
std::string table_of(const Report& report);

/// A page that needs no other file and no network.
std::string html_of(const Report& report);

/// The geometric mean of the ratios of an entry's correct cases; 0 if there are none.
double mean_ratio(const Report& report, const std::string& entry);

/// Entries that have cases, in their order.
std::vector<std::string> entries_of(const Report& report);

}  // namespace graft::bench
