// The report as one page: its style and its plots stand in it, and it asks for nothing from elsewhere.
#include <algorithm>
#include <cstdio>

#include "html_page.h"
#include "numbers.h"
#include "report.h"

namespace graft::bench {
namespace {

constexpr const char* kStyle = R"(
:root { --own: #9aa4b0; --kernel: #2467c9; --share: #2a8c5a; }
@media (prefers-color-scheme: dark) { :root { --own: #737d89; --kernel: #6aa5ff; --share: #55c58c; } }
p, figcaption { color: var(--faint); } figure { margin: 0; overflow-x: auto; }
svg { width: 100%; min-width: 46rem; font-size: 12px; } svg text { fill: var(--text); } svg .faint { fill: var(--faint); }
.own { fill: var(--own); } .kernel { fill: var(--kernel); } .share { fill: var(--share); } .track { fill: var(--line); }
.whisker { stroke: var(--text); stroke-width: 1; }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; vertical-align: -.05em; }
div.table { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
th:nth-child(-n+4), td:nth-child(-n+4) { text-align: left; } .bad, svg text.bad { color: var(--bad); fill: var(--bad); font-weight: 600; }
)";

// The plot's columns, in its own units.
constexpr double kBars = 190, kBarsWidth = 400, kRatio = 700, kShare = 760, kShareWidth = 120,
                 kRowHeight = 40, kWidth = 960;

std::string rectangle(const char* name, double x, double y, double width, double height) {
  char text[160];
  std::snprintf(text, sizeof text,
                R"(<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"/>)", name, x, y,
                std::max(width, 0.0), height);
  return text;
}

std::string label(double x, double y, const std::string& text, const char* name = "") {
  char open[96];
  std::snprintf(open, sizeof open, R"(<text class="%s" x="%.1f" y="%.1f">)", name, x, y);
  return open + escaped(text) + "</text>";
}

/// A bar with a line over it from low to high, and its median behind both; `scale`: units of the plot for a
/// µs.
std::string bar(const char* name, double y, const Spread& time, double scale) {
  const double high = std::min(time.high * scale, kBarsWidth);
  char whisker[160];
  std::snprintf(whisker, sizeof whisker, R"(<line class="whisker" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>)",
                kBars + time.low * scale, y + 6, kBars + high, y + 6);
  const double end = std::max(time.median * scale, high);
  return rectangle(name, kBars, y, time.median * scale, 12) + whisker +
         label(kBars + end + 6, y + 10, number(time.median) + " µs", "faint");
}

std::string plot_row(const Case& c, double y) {
  std::string row = label(0, y + 19, c.shape + "  " + c.dtype);
  if (!c.failure.empty()) return row + label(kBars, y + 19, "failed", "bad");
  // The medians are to be seen, however long the line of a disturbed time is.
  const double medians = std::max({c.timing.own.median, c.timing.kernel.median, 1e-9});
  const double scale =
      kBarsWidth / std::clamp(std::max(c.timing.own.high, c.timing.kernel.high), medians, 1.25 * medians);
  row += bar("own", y + 2, c.timing.own, scale) + bar("kernel", y + 17, c.timing.kernel, scale);
  row += label(kRatio, y + 19, number(c.ratio) + " ×", c.correct() ? "" : "bad");
  row += rectangle("track", kShare, y + 9, kShareWidth, 12);
  row += rectangle("share", kShare, y + 9, std::min(c.bandwidth_share, 1.0) * kShareWidth, 12);
  return row + label(kShare + kShareWidth + 8, y + 19, percent(c.bandwidth_share), "faint");
}

std::string plot_of(const Report& report, const std::string& entry) {
  std::string rows;
  double y = 20;
  for (const Case& c : report.cases) {
    if (c.entry != entry) continue;
    rows += plot_row(c, y) + "\n";
    y += kRowHeight;
  }
  char open[128];
  std::snprintf(open, sizeof open, R"(<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="Times of a call">)",
                kWidth, y);
  return "<figure>" + (open + label(kRatio, 10, "ratio", "faint")) +
         label(kShare, 10, "share of bandwidth", "faint") + "\n" + rows +
         "</svg>\n<figcaption><span class=\"key\" style=\"background: var(--own)\"></span>own forward"
         "<span class=\"key\" style=\"background: var(--kernel)\"></span>kernel; each row has its own scale, "
         "lines go from the 10th to the 90th percentile</figcaption></figure>\n";
}

std::string cell(const std::string& text, bool bad = false) {
  return (bad ? "<td class=\"bad\">" : "<td>") + escaped(text) + "</td>";
}

std::string table_row(const Case& c) {
  std::string row = cell(c.entry) + cell(c.shape) + cell(c.dtype);
  if (!c.failure.empty())
    return "<tr>" + row + "<td class=\"bad\" colspan=\"8\">failed: " + escaped(c.failure) + "</td></tr>\n";
  row += cell(c.correct() ? "ok" : "wrong", !c.correct()) + cell(percent(c.error.share), !c.correct()) +
         cell(percent(c.own_error.share)) + cell(spread(c.timing.own)) + cell(spread(c.timing.kernel)) +
         cell(number(c.ratio) + " ×") + cell(number(c.gb_s)) + cell(percent(c.bandwidth_share));
  return "<tr>" + row + "</tr>\n";
}

constexpr const char* kLegend = R"(</tbody></table></div>
<p>error: the largest share of the contract’s tolerance that a result takes, against the own forward in float64.
µs: median (10th–90th percentile). GB/s: the kernel’s, weights, inputs and outputs counted once; what stays in
caches may be faster than memory.</p>
)";

std::string table(const Report& report) {
  std::string text = "<h2>All figures</h2>\n<div class=\"table\"><table><thead><tr>";
  for (const char* head : {"entry", "shape", "dtype", "result", "error", "own error", "own µs", "kernel µs",
                           "ratio", "GB/s", "share of bandwidth"}) {
    text += std::string("<th>") + head + "</th>";
  }
  text += "</tr></thead><tbody>\n";
  for (const Case& c : report.cases) text += table_row(c);
  return text + kLegend;
}

}  // namespace

std::string html_of(const Report& report) {
  std::string page = "<p>" + escaped(package_line(report)) + "<br>" + escaped(machine_line(report)) + "</p>\n";
  if (const std::string line = disturbance_line(report); !line.empty())
    page += "<p><strong>Note</strong>: " + escaped(line) + ".</p>\n";
  for (const std::string& entry : entries_of(report)) {
    const double mean = mean_ratio(report, entry);
    page +=
        "<h2>" + escaped(entry) + (mean > 0 ? " — " + number(mean) + " × (geometric mean)" : "") + "</h2>\n";
    page += plot_of(report, entry);
  }
  if (!report.cases.empty()) page += table(report);
  if (!report.skipped.empty()) {
    page += "<h2>Skipped</h2>\n<ul>\n";
    for (const Skipped& skipped : report.skipped) {
      page += "<li>" + escaped(skipped.entry) + ": " + escaped(skipped.reason) + "</li>\n";
    }
    page += "</ul>\n";
  }
  return HtmlPage{.title = "graft bench " + report.ref, .style = kStyle, .body = page}.str();
}

}  // namespace graft::bench
