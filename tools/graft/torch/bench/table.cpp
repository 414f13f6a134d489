// The report as a table on a terminal.
#include <algorithm>
#include <optional>

#include "numbers.h"
#include "report.h"
#include "terminal.h"

namespace graft::bench {
namespace {

struct Cell {
  std::string text;
  std::optional<Style> style = std::nullopt;
};
using Row = std::vector<Cell>;

constexpr size_t kTextColumns = 4;  // set flush left; numbers follow, flush right

/// Columns of a terminal that UTF-8 text takes (no wide characters are expected here).
size_t width(const std::string& text) {
  return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string one_line(const std::string& text) {
  std::string safe = printable(text);
  std::replace(safe.begin(), safe.end(), '\n', ' ');
  return safe;
}

Row row_of(const Case& c) {
  Row row = {{one_line(c.entry)}, {c.shape}, {c.dtype}};
  if (!c.failure.empty()) {
    row.push_back({"FAILED", Style::red});
    while (row.size() < 11) row.push_back({"-"});
    return row;
  }
  row.push_back(c.correct() ? Cell{"ok", Style::green} : Cell{"WRONG", Style::red});
  row.push_back({percent(c.error.share)});
  row.push_back({percent(c.own_error.share)});
  row.push_back({spread(c.timing.own)});
  row.push_back({spread(c.timing.kernel)});
  row.push_back({number(c.ratio) + " ×", c.ratio >= 1.05   ? std::optional(Style::green)
                                         : c.ratio <= 0.95 ? std::optional(Style::yellow)
                                                           : std::nullopt});
  row.push_back({number(c.gb_s)});
  row.push_back({percent(c.bandwidth_share)});
  return row;
}

std::string line_of(const Row& row, const std::vector<size_t>& widths) {
  std::string line;
  for (size_t i = 0; i < row.size(); ++i) {
    const std::string space(widths[i] - width(row[i].text), ' ');
    const std::string text = row[i].style ? styled(row[i].text, *row[i].style) : row[i].text;
    line += (i == 0 ? "" : "  ") + (i < kTextColumns ? text + space : space + text);
  }
  return line + "\n";
}

std::string cases_of(const Report& report) {
  std::vector<Row> rows = {{{"entry"},
                            {"shape"},
                            {"dtype"},
                            {"result"},
                            {"error"},
                            {"own error"},
                            {"own µs"},
                            {"kernel µs"},
                            {"ratio"},
                            {"GB/s"},
                            {"bandwidth"}}};
  for (const Case& c : report.cases) rows.push_back(row_of(c));
  std::vector<size_t> widths(rows[0].size(), 0);
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i].text));
  }
  std::string text = line_of(rows[0], widths);
  size_t total = 0;
  for (size_t w : widths) total += w + 2;
  for (size_t i = 0; i + 2 < total; ++i) text += "─";
  text += "\n";
  for (size_t n = 1; n < rows.size(); ++n) {
    text += line_of(rows[n], widths);
    if (const std::string& failure = report.cases[n - 1].failure; !failure.empty())
      text += "    " + one_line(failure) + "\n";
  }
  return text +
         styled(
             "error: largest share of the contract's tolerance, against float64; µs: median "
             "(10th–90th percentile);\n"
             "bandwidth: share of the memory's, above 100 % from caches",
             Style::dim) +
         "\n";
}

}  // namespace

std::string table_of(const Report& report) {
  std::string text =
      styled(one_line(package_line(report)), Style::bold) + "\n" + one_line(machine_line(report)) + "\n";
  if (const std::string line = disturbance_line(report); !line.empty())
    text += styled("note", Style::yellow) + " " + line + "\n";
  if (!report.cases.empty()) text += "\n" + cases_of(report) + "\n";
  for (const std::string& entry : entries_of(report)) {
    const double mean = mean_ratio(report, entry);
    if (mean > 0)
      text += one_line(entry) + ": " + number(mean) + " × its layer's own forward (geometric mean)\n";
  }
  for (const Skipped& skipped : report.skipped) {
    text += styled("skipped", Style::yellow) + " " + one_line(skipped.entry) + ": " +
            one_line(skipped.reason) + "\n";
  }
  const auto wrong =
      std::count_if(report.cases.begin(), report.cases.end(), [](const Case& c) { return !c.correct(); });
  if (wrong > 0) {
    text += styled(std::to_string(wrong) + " of " + std::to_string(report.cases.size()) + " cases are wrong",
                   Style::red) +
            "\n";
  }
  if (report.cases.empty()) text += styled("nothing could be measured", Style::red) + "\n";
  return text;
}

}  // namespace graft::bench
