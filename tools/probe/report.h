// What graft-probe tells the host: a line of JSON for each thing that happens (core/loader/probe_report.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "graft/error.h"

namespace graft::probe {

/// Where the lines go; standard output unless it is called.
void report_to(int fd);

void report_hello();
void report_stage(std::string_view stage, std::string_view entry = {});
void report_note(std::string_view note);
void report_error(const Error& error);
void report_ok();

// Called from signal handlers and from within malloc: they allocate nothing.
void report_memory(std::uint64_t bytes);
void report_denied(const char* what);                 // it is the end of this plugin
void report_refused_call(const char* what) noexcept;  // a note: "it was not let WHAT"

}  // namespace graft::probe
