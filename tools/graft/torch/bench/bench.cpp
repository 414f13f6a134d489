// graft bench: loads a plugin, measures its entries one after the other, shows what it found.
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <cstdlib>
#include <iostream>

#include "bandwidth.h"
#include "../html_file.h"
#include "bench_options.h"
#include "cuda_runtime.h"  // of core/models
#include "graft/dtype.h"
#include "graft/error.h"
#include "graft/thread_pool.h"
#include "interrupt.h"
#include "machine_name.h"
#include "measure.h"
#include "other_load.h"
#include "progress_line.h"
#include "shape.h"
#include "tensor_view.h"  // of core/binding

namespace graft::bench {
namespace {

/// Kernels use the shared pool, which reads the variable when it is first asked for; LibTorch has threads of
/// its own.
void set_threads(int threads) {
  if (threads > 0) setenv("GRAFT_NUM_THREADS", std::to_string(threads).c_str(), /*overwrite=*/1);
  at::set_num_threads(ThreadPool::shared().size());
}

c10::Device open_device(const std::string& name) {
  if (name == "cpu") return c10::kCPU;
  try {
    open_cuda();
  } catch (const Error& error) {  // whose mend speaks to a program
    throw Error(error.code(), "--device cuda", error.why(), "use --device cpu, or mend CUDA here");
  }
  return {c10::kCUDA, 0};
}

Report describe(const Package& package, const BenchOptions& options, const Machine& machine) {
  Report report;
  report.ref = options.ref;
  report.repo = package.repo;
  report.revision = package.revision;
  report.commit = package.commit;
  report.variant = package.variant;
  report.digest = package.digest;
  report.device = options.device;
  report.machine = machine_name(machine.device);
  report.threads = ThreadPool::shared().size();
  report.bandwidth_gb_s = machine.bandwidth_gb_s;
  return report;
}

/// The first line of LibTorch's message, without the backtrace.
std::string first_line(const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  return text.substr(0, text.find('\n'));
}

void note_skipped(Report& report, const std::string& entry, const std::string& reason,
                  const std::string& at) {
  for (Skipped& known : report.skipped) {
    if (known.entry == entry && known.reason.starts_with(reason)) {
      known.reason += ", " + at;
      return;
    }
  }
  report.skipped.push_back({entry, reason + ": " + at});
}

void measure_all(const Plan& plan, const Machine& machine, const BenchOptions& options,
                 ProgressLine& progress, const std::stop_token& stop, Report& report) {
  size_t all = 0, number = 0;
  for (const Subject& subject : plan.subjects) all += subject.count();
  for (const Subject& subject : plan.subjects) {
    for (at::ScalarType dtype : subject.dtypes) {
      for (const Sizes& shape : subject.shapes) {
        const std::string at = to_text(shape) + " " + dtype_name(to_graft(dtype));
        progress.show("[" + std::to_string(++number) + "/" + std::to_string(all) + "] " + subject.entry +
                      " " + at);
        try {
          report.cases.push_back(measure(subject, shape, dtype, machine, options, stop));
        } catch (const Error& error) {
          if (error.code() != ErrorCode::unsupported) throw;
          note_skipped(report, subject.entry, error.why(), at);
        } catch (const c10::Error& error) {
          note_skipped(report, subject.entry, "LibTorch: " + first_line(error), at);
        }
      }
    }
  }
}

int bench(const BenchOptions& options) {
  const Interrupt interrupt;  // before other threads are made
  if (!options.html.empty()) check_html_file("--html", options.html);
  set_threads(options.threads);
  Machine machine{.device = open_device(options.device)};
  const c10::InferenceMode guard;

  Report report;
  {
    ProgressLine progress;
    progress.show("loading " + options.ref);
    const Package package = Runtime::shared().load_package(KernelRef::parse(options.ref),
                                                           {.device = options.device,
                                                            .allow_all_kernels = options.allow_all_kernels,
                                                            .stop = interrupt.token()});
    const Plan plan = make_plan(package, options);
    const OtherLoad others;
    if (!plan.subjects.empty()) {
      progress.show("measuring the memory's bandwidth");
      machine.bandwidth_gb_s = measure_bandwidth(machine.device, interrupt.token());
    }
    report = describe(package, options, machine);
    report.skipped = plan.skipped;
    measure_all(plan, machine, options, progress, interrupt.token(), report);
    report.other_load = others.share();
  }
  if (!options.html.empty()) write_html_file("--html", options.html, html_of(report));
  std::cout << (options.json ? json_of(report) + "\n" : table_of(report)) << std::flush;
  return report.cases.empty() || !report.all_correct() ? 1 : 0;
}

}  // namespace
}  // namespace graft::bench

extern "C" __attribute__((visibility("default"))) int graft_command_bench(
    const graft::BenchOptions* options) {
  try {
    return graft::bench::bench(*options);
  } catch (const graft::Error& error) {
    if (error.code() != graft::ErrorCode::cancelled) throw;
    std::cerr << "interrupted; nothing was written\n";
    return graft::Interrupt::kExit;
  } catch (const c10::Error& error) {
    throw graft::Error(graft::ErrorCode::internal, "graft bench", graft::bench::first_line(error),
                       "please report it");
  }
}
