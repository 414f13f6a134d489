"""The rows of tools/bench/cpu on a terminal and as Markdown."""

COLUMNS = (
    "dtype", "who", "tokens/s (min–max)", "× peer", "of the limit", "prefill tokens/s", "× peer", "to first token, s", "with process, s", "peak MiB", "× weights",
    "without libraries",
)  # fmt: skip


def middle(row, key, form):
    return form.format(row[key][1]) if key in row else ""


def ratio(row, key):
    return f"{row['ratios'][key]:.2f}" if "ratios" in row else ""


def cells(row):
    low, speed, high = row["tokens_per_second"]
    return (
        row["dtype"],
        row["who"],
        f"{speed:.1f} ({low:.1f}–{high:.1f})",
        ratio(row, "tokens_per_second"),
        f"{row['limit_share']:.0%} of {row['limit_tokens_per_second']:.0f}",
        middle(row, "prefill_tokens_per_second", "{:.0f}"),
        ratio(row, "prefill_tokens_per_second"),
        middle(row, "first_token_seconds", "{:.2f}"),
        middle(row, "process_seconds", "{:.2f}"),
        middle(row, "peak_mib", "{:.0f}"),
        f"{row['peak_ratio']:.2f}",
        f"{row['peak_ratio_without_libraries']:.2f}",
    )


def machine_line(machine):
    return (
        f"{machine['cores']} cores of {machine['processor']} ({machine['vectors']}), {machine['memory_gib']:.0f} GiB, {machine['system']};"
        f" {machine['compiler']}; commit {machine['commit']}"
    )


def limits_line(document):
    return (
        f"memory read {document['bandwidth'] / 1e9:.1f} GB/s with {document['machine']['cores']} threads,"
        f" multiply-add {document['flops'] / 1e9:.0f} GFLOP/s, in the same run"
    )


def notes(document):
    lines = [f"left out: {who} ({why})" for who, why in document["left_out"]]
    worst = max(row["others_share"][2] for row in document["rows"])
    if worst > 0.05:
        lines.append(f"other processes took up to {worst:.0%} of the processors meanwhile: believe ratios of a quiet machine")
    for row in document["rows"]:
        for kind, share in (row.get("sampling_share") or {}).items():
            if share > 0.02:
                lines.append(f"{row['who']} in {row['dtype']}: sampling ({kind}) takes {share:.1%} of a token's time")
    return lines


def terminal(document):
    rows = [COLUMNS, *(cells(row) for row in document["rows"])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = ["  ".join(f"{cell:{'<' if i < 2 else '>'}{widths[i]}}" for i, cell in enumerate(row)).rstrip() for row in rows]
    lines.insert(1, "─" * max(len(line) for line in lines))
    return "\n".join([machine_line(document["machine"]), limits_line(document), "", *lines, "", *notes(document)]).rstrip()


def markdown(document):
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in document["rows"]]
    return "\n".join([machine_line(document["machine"]) + "; " + limits_line(document) + ".", "", *lines])
