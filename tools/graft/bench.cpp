// graft bench: parses its options here; the work is done by libgraft_commands.so, which links LibTorch and is
// opened only now.
#include <fmt/format.h>

#include "bench_options.h"
#include "command.h"
#include "graft/error.h"
#include "part.h"

namespace graft {
namespace {

/// The forms of --shape, a line for each.
std::string shape_forms() {
  std::string lines;
  for (const ShapeForm& shape : kShapeForms)
    lines += fmt::format("\n  {:<18} {}", shape.contract.substr(0, shape.contract.find('/')), shape.form);
  return lines;
}

int bench(const BenchOptions& options) {
  return open_part<int(const BenchOptions*)>("libgraft_commands.so", kGraftCommandBench, "graft bench",
                                             "build Graft with GRAFT_WITH_TORCH=ON")(&options);
}

}  // namespace

void add_bench(CLI::App& app, CommandLine& line) {
  CLI::App* command = add_command(
      app, line, "bench", "Time a kernel's entries against the layers' own forwards, and check their results",
      "graft bench graft-kernels/norm\n"
      "  graft bench graft-kernels/linear:Linear --shape 1x4096x4096 --dtype bfloat16 --html linear.html\n"
      "  graft bench /abs/path/to/repo:MySiLU --threads 1 --json");
  command->footer(
      command->get_footer() + "\n\nShapes, by contract:" + shape_forms() +
      "\n  T query and S key tokens, Q query and K key heads of dimension D; INNER: the MLP's width"
      "\n\nEach entry is bound onto a layer and runs in turns with the same layer unbound. A "
      "layer is repeated\n"
      "up to 32 times, as in a model, so that large weights come from memory. Bandwidth counts "
      "weights, inputs\n"
      "and outputs once; small shapes stay in caches and may show more than the memory's. Exit "
      "code 1 also if\n"
      "a result is further from the own forward in float64 than the contract allows.");
  auto options = std::make_shared<BenchOptions>();
  command
      ->add_option("REF", options->ref,
                   "org/repo[@revision][:Entry] or /absolute/path[:Entry]; all entries without :Entry")
      ->required();
  command->add_option("--shape", options->shapes, "as 1x576, as often as needed; see below (default: a grid)")
      ->allow_extra_args(false);
  command
      ->add_option("--dtype", options->dtypes,
                   "as float32,bfloat16 (default: of these what the entry serves)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"float32", "bfloat16", "float16", "float64"}));
  command->add_option("--device", options->device)
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "of kernels and of LibTorch (default: this machine's)")
      ->check(CLI::Range(1, 1024));
  command->add_option("--seconds", options->seconds, "to spend on each case")
      ->check(CLI::Range(0.001, 3600.0))
      ->capture_default_str();
  command->add_flag("--allow-all-kernels", options->allow_all_kernels,
                    "also of publishers that the policy does not trust");
  command->add_option("--html", options->html, "also write a page with plots, which needs no network");
  command->callback([&line, options] {
    line.action = [&line, options] {
      options->json = line.json;
      return bench(*options);
    };
  });
}

}  // namespace graft
