// graft doctor: what makes kernels fail on this machine, and its mend.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "command.h"
#include "doctor_model.h"
#include "doctor_rows.h"
#include "graft/error.h"
#include "graft/host_platform.h"
#include "terminal.h"

namespace graft {
namespace {

using nlohmann::ordered_json;

struct DoctorOptions {
  bool host = false;
};

int print_host() {
  fmt::print("{}\n", HostPlatform::detect().with_device("").to_json());
  return kDone;
}

int examine(bool json) {
  const std::vector<DoctorRow> rows = doctor_rows();
  const bool good = std::all_of(rows.begin(), rows.end(), [](const DoctorRow& row) { return row.state != RowState::bad; });
  ordered_json list = ordered_json::array();
  for (const DoctorRow& row : rows) {
    list.push_back({{"name", row.name}, {"good", row.state != RowState::bad}, {"state", row.text}, {"mend", row.mend}});
    if (json) continue;
    const std::string mark = row.state == RowState::good  ? styled("✓", Style::green)
                             : row.state == RowState::bad ? styled("✗", Style::red)
                                                          : styled("–", Style::dim);
    fmt::print("{} {:<13} {}\n", mark, row.name, printable(row.text));
    if (!row.mend.empty()) fmt::print("                → {}\n", printable(row.mend));
  }
  if (json) fmt::print("{}\n", ordered_json{{"good", good}, {"rows", list}}.dump(2, ' ', false, ordered_json::error_handler_t::replace));
  return good ? kDone : kFailed;
}

}  // namespace

void add_doctor(CLI::App& app, CommandLine& line) {
  CLI::App* command =
      add_command(app, line, "doctor", "Say what would make kernels fail on this machine, or which layers of a model would be bound",
                  "graft doctor\n"
                  "  graft doctor Qwen/Qwen3-0.6B --strict   # for CI: exit 1 if a mapped layer would fall back\n"
                  "  graft doctor --host > gpu.json          # this machine, for graft info --host on another one");
  auto options = std::make_shared<DoctorOptions>();
  auto model = std::make_shared<DoctorModelOptions>();
  add_model_options(*command, model);
  command->add_flag("--host", options->host, "print the host description by which variants are chosen, as JSON");
  command->callback([&line, options, model] {
    line.action = [&line, options, model] {
      if (options->host) return print_host();
      return model->model.empty() ? examine(line.json) : examine_model(*model, line.json);
    };
  });
}

}  // namespace graft
