// The lines of graft doctor.
#pragma once

#include <string>
#include <vector>

namespace graft {

enum class RowState {
  good,
  absent,  // not here, which is no fault
  bad
};

struct DoctorRow {
  std::string name;  // "CUDA"
  RowState state = RowState::good;
  std::string text;  // "driver 13.0, 1 device (9.0)"
  std::string mend = {};  // what to do; of a bad one never empty
};

/// Looks at the whole machine: the hardware, Graft's own files, cache and Hub, trust, and the environment. What cannot be
/// looked at is a bad row with its reason, not an Error. Makes one request at most, given up after 3 s.
std::vector<DoctorRow> doctor_rows();

}  // namespace graft
