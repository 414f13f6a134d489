"""The figures of tools/bench/gpu on a terminal and as Markdown."""

import gpu_figures as figures
from table import machine_line

PEERS = ("kernel", "torch in C++", "torch eager", "torch.compile", "FlashInfer")


def number(value, form="{:.0f}"):
    return "" if value is None else form.format(value)


def beside(part, peer, key, form):
    """A figure with its ratio to the peer's."""
    if key not in part:
        return ""
    ratio = f" ({part[key] / peer[key]:.2f} ×)" if key in peer and part is not peer else ""
    return form.format(part[key]) + ratio


def decode(document):
    heads = ("batch", "decode", "tokens/s", "of the floor", "× transformers", "step, µs", "of the floor")
    rows = [
        (
            str(row["batch"]),
            row["who"],
            number(row["tokens_per_second"]),
            number(row["floor_share"], "{:.0%}"),
            number(row["ratio"], "{:.2f}"),
            number(row["step_us"]),
            number(row["step_share"], "{:.0%}"),
        )
        for row in figures.decode_rows(document)
    ]
    return heads, rows


def drawing(document):
    """What drawing adds to a step, by kernels."""
    part = document["parts"].get("model on", {})
    heads = ("batch", "a step, µs: greedy", "temperature 0.6, top-k 20, top-p 0.95", "top-p 0.9 of all")
    keys = ("step_us", "drawn_step_us", "nucleus_step_us")
    rows = [(str(batch), *(number(part.get(f"{key}_{batch}")) for key in keys)) for batch in figures.BATCHES if f"drawn_step_us_{batch}" in part]
    return heads, rows


def model(document):
    columns = (
        ("prefill, tokens/s", "prefill_8k_tokens_per_second", "{:.0f}"),
        ("training, tokens/s", "training_tokens_per_second", "{:.0f}"),
        ("peak GiB", "training_peak_gib", "{:.1f}"),
        ("of padded rows, real tokens/s", "padded_training_tokens_per_second", "{:.0f}"),
        ("peak GiB", "padded_training_peak_gib", "{:.1f}"),
        ("to first token, s", "first_token_seconds", "{:.2f}"),
    )
    parts = document["parts"]
    peer = parts.get("transformers", {})
    shown = [name for name in figures.WHO if "first_token_seconds" in parts.get(name, {})]
    heads = ("", *(head for head, _, _ in columns))
    return heads, [(figures.WHO[name], *(beside(parts[name], peer, key, form) for _, key, form in columns)) for name in shown]


def kernels(document):
    heads = ("", "shape", "kernel, µs", *PEERS)
    rows = []
    for row in figures.kernel_rows(document["parts"]):
        rows.append((row["kernel"], row["shape"], number(row["us"], "{:.1f}"), *(number(row["shares"].get(who), "{:.0%}") for who in PEERS)))
    return heads, rows


def tables(document):
    """[(heads, rows)], those without rows left out."""
    return [(heads, rows) for heads, rows in (decode(document), drawing(document), model(document), kernels(document)) if rows]


def head(document):
    parts, speed = document["parts"], figures.bandwidth(document["parts"])
    words = [document["gpu"] + (f", which copies {speed / 1e12:.2f} TB/s (read and written)" if speed else "")]
    words += [f"{document['model']}, bfloat16"] if document["model"] else []
    versions = parts.get("transformers") or parts.get("operators") or {}
    words += [", ".join(f"{name} {versions[name]}" for name in ("torch", "transformers") if name in versions)] if versions else []
    return "; ".join([*words, machine_line(document["machine"])])


def notes(document):
    parts, lines = document["parts"], []
    for batch, seconds in figures.floors(document).items():
        lines.append(f"floor of a step at batch {batch}: {seconds * 1e6:.0f} µs, {batch / seconds:.0f} tokens/s")
    host = [(who, parts[name][key]) for name, key, who in (
        ("kernels", "host_us_bound", "a bound RMSNorm"), ("kernels", "host_us_torch_rms_norm", "torch's rms_norm in C++"),
        ("operators", "host_us_rms_norm", "in Python")) if name in parts and key in parts[name]]  # fmt: skip
    if host:
        lines.append("a call costs the host: " + ", ".join(f"{who} {us:.1f} µs" for who, us in host))
    lines += [words if agree else f"WRONG: {words}" for agree, words in figures.agreements(parts)]
    for name in ("model on", *(f"tokens {dtype}" for dtype in figures.TOLERANCE)):
        lines += [f"{name}: {warning}" for warning in parts.get(name, {}).get("warnings", [])]
    return lines + [f"left out: {who} ({why})" for who, why in document["left_out"]]


def terminal_table(heads, rows):
    rows = [heads, *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    lines = ["  ".join(f"{cell:{'<' if i < 2 else '>'}{widths[i]}}" for i, cell in enumerate(row)).rstrip() for row in rows]
    return [*lines[:1], "─" * max(len(line) for line in lines), *lines[1:], ""]


def markdown_table(heads, rows):
    return ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", *("| " + " | ".join(row) + " |" for row in rows), ""]


def terminal(document):
    lines = [line for each in tables(document) for line in terminal_table(*each)]
    return "\n".join([head(document), "", *lines, *notes(document)]).rstrip()


def markdown(document):
    lines = [line for each in tables(document) for line in markdown_table(*each)]
    return "\n".join([head(document) + ".", "", *lines, *(f"- {note}" for note in notes(document))]).rstrip()
