"""The page of tools/bench/cpu: bars and roofline as inline SVG, in one file that needs neither network nor scripts. It is XML too."""

import math
from html import escape

import table

COLOURS = {"own layers": "#8a8f98", "kernels": "#1f77d0", "int8 kernels": "#12a594", "transformers": "#e5a000", "llama.cpp": "#b252d8"}
STYLE = """
:root { color-scheme: light dark; --text: #1c1f24; --faint: #6b7280; --line: #d5d9e0; --back: #ffffff }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8ec; --faint: #9aa2ae; --line: #3a404a; --back: #16181d } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 980px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.4em; margin-bottom: 0 } h2 { font-size: 1.1em; margin: 2em 0 .3em } p { color: var(--faint); margin: .3em 0 }
svg { width: 100%; height: auto } svg text { fill: var(--text); font: 13px system-ui, sans-serif } svg .faint { fill: var(--faint); font-size: 12px }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px } div { overflow-x: auto }
th, td { padding: .25em .6em; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left }
"""


def text(x, y, words, anchor="start", kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}>{escape(words)}</text>'


def line(x1, y1, x2, y2, colour="var(--line)", width=1.0, dashes=""):
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"{dashed}/>'


def svg(width, height, title, parts):
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def bars(rows):
    """Tokens/s of each row with its spread, and where the machine's memory ends it."""
    left, right, height = 190, 820, 30
    most = max(max(row["limit_tokens_per_second"], row["tokens_per_second"][2]) for row in rows)
    scale = (right - left) / most
    parts = []
    for i, row in enumerate(rows):
        y = i * height + 8
        low, speed, high = (left + value * scale for value in row["tokens_per_second"])
        limit, middle = left + row["limit_tokens_per_second"] * scale, y + 9
        parts.append(text(left - 8, y + 14, f"{row['who']}, {row['dtype']}", "end"))
        parts.append(f'<rect x="{left}" y="{y}" width="{speed - left:.1f}" height="18" rx="2" fill="{COLOURS.get(row["who"], "#8a8f98")}"/>')
        parts.append(line(low, middle, high, middle, "var(--text)") + line(low, y + 5, low, y + 13, "var(--text)") + line(high, y + 5, high, y + 13, "var(--text)"))
        parts.append(line(limit, y - 4, limit, y + 22, "#d13438", 2, "3 2"))
        in_the_way = high < limit < high + 110  # the words would lie over the limit's line
        parts.append(text((limit if in_the_way else max(speed, high)) + 8, y + 14, f"{row['tokens_per_second'][1]:.1f} ({row['limit_share']:.0%})"))
    return svg(940, len(rows) * height + 12, "tokens per second while decoding", parts)


def short(name):
    """kernels_bench's "linear/rows:1/in:576/out:576/bits:32" as a label."""
    kind, *sizes = name.split("/")
    values = dict(size.split(":", 1) for size in sizes if ":" in size)
    dtype = {"32": "float32", "16": "bfloat16"}.get(values.pop("bits", ""), "")
    return kind.replace("_", " ") + " " + " ".join(f"{key} {value}" for key, value in values.items()) + (f", {dtype}" if dtype else "")


def roofline(points, bandwidth, flops):
    """FLOP/s against FLOP per byte, both logarithmic. Above the roof of vectors are matrix units alone (AMX)."""
    left, right, top, bottom = 70, 900, 30, 380
    ridge = flops / bandwidth
    intensities = [point["flops_per_second"] / point["bytes_per_second"] for point in points] + [ridge]
    first, last = math.floor(math.log10(min(intensities))), math.ceil(math.log10(max(intensities)) + 0.1)
    rates = [point["flops_per_second"] for point in points]
    low = math.floor(math.log10(min([*rates, bandwidth * 10**first])))
    high = math.ceil(math.log10(max([*rates, flops])) + 0.05)

    def x(intensity):
        return left + (math.log10(intensity) - first) / (last - first) * (right - left)

    def y(rate):
        return bottom - (math.log10(rate) - low) / (high - low) * (bottom - top)

    parts = []
    for power in range(first, last + 1):
        parts += [line(x(10**power), top, x(10**power), bottom), text(x(10**power), bottom + 18, f"{10.0**power:g}", "middle", "faint")]
    for power in range(low, high + 1):
        parts += [line(left, y(10**power), right, y(10**power)), text(left - 8, y(10**power) + 4, f"{10.0 ** (power - 9):g}", "end", "faint")]
    parts.append(text((left + right) / 2, bottom + 38, "FLOP per byte read or written", "middle", "faint"))
    parts.append(text(left - 8, top - 16, "GFLOP/s", "end", "faint"))
    parts.append(line(x(10**first), y(bandwidth * 10**first), x(ridge), y(flops), "#d13438", 2) + line(x(ridge), y(flops), right, y(flops), "#d13438", 2))
    parts.append(text(right, y(flops) - 6, f"{flops / 1e9:.0f} GFLOP/s", "end") + text(x(ridge) - 40, y(flops) - 6, f"{bandwidth / 1e9:.1f} GB/s", "end"))
    for number, (point, intensity) in enumerate(zip(points, intensities), 1):
        colour = "#1f77d0" if point["name"].endswith("bits:32") else "#12a594"
        at = f'cx="{x(intensity):.1f}" cy="{y(point["flops_per_second"]):.1f}"'
        parts.append(f'<circle {at} r="5" fill="{colour}"><title>{escape(short(point["name"]))}</title></circle>')
        parts.append(text(x(intensity) + 7, y(point["flops_per_second"]) - 5, str(number), kind="faint"))
    return svg(940, 425, "roofline", parts)


def html_table(heads, rows):
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def points_table(points, bandwidth, flops):
    rows = []
    for number, point in enumerate(points, 1):
        rate, read = point["flops_per_second"], point["bytes_per_second"]
        roof = min(flops, rate / read * bandwidth)
        rows.append((str(number), short(point["name"]), f"{rate / read:.2f}", f"{rate / 1e9:.1f}", f"{read / 1e9:.1f}", f"{rate / roof:.0%}"))
    return html_table(("", "kernel", "FLOP/byte", "GFLOP/s", "GB/s", "of the roof"), rows)


def page(document):
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8"/><meta name="viewport" content="width=device-width"/>',
        f"<title>Graft on the CPU</title><style>{escape(STYLE, quote=False)}</style></head><body>",
        f"<h1>{escape(document['model'])} on the CPU</h1>",
        f"<p>{escape(table.machine_line(document['machine']))}.<br/>{escape(table.limits_line(document))}.</p>",
        "<h2>Decoding, tokens per second</h2><p>Medians with the spread of the rounds. Dashed: where reading each weight once per token would end it.</p>",
        bars(document["rows"]),
        "<h2>All figures</h2>",
        html_table(table.COLUMNS, [table.cells(row) for row in document["rows"]]),
        *(f"<p>{escape(note)}</p>" for note in table.notes(document)),
    ]
    if document["kernels"]:
        parts += [
            "<h2>Roofline</h2><p>Graft's kernels at this model's shapes beside what the machine can do; blue is float32, green bfloat16. Where"
            " operands come from a cache a point may lie above the memory's slope, and on AMX tiles above what vectors multiply.</p>",
            roofline(document["kernels"], document["bandwidth"], document["flops"]),
            points_table(document["kernels"], document["bandwidth"], document["flops"]),
        ]
    return "\n".join([*parts, "</body></html>"]) + "\n"
