// Numbers as people read them, three digits of each.
#pragma once

#include <string>

#include "report.h"

namespace graft::bench {

/// "0.42", "15.9", "231"; "-" for what is no number.
std::string number(double value);

/// "15.9 (15.2–17.1)"
std::string spread(const Spread& spread);

/// "37 %", "<1 %"; "nan" for what is no number, so that a wrong result does not look like none.
std::string percent(double share);

/// "Intel(R) Xeon(R) Processor, 2 threads, reads 23.9 GB/s"
std::string machine_line(const Report& report);

/// What to know of times that others disturbed; "" if nobody did.
std::string disturbance_line(const Report& report);

/// "graft-kernels/norm v1.0.0 4d28aae, graft1-cpu-x86_64-linux", without what is not known.
std::string package_line(const Report& report);

}  // namespace graft::bench
