"""From runs to the table's rows: medians with their spread, and what share of the machine's limits they are."""

import statistics

MIB = 1 << 20
SPREADS = (
    "tokens_per_second",
    "prefill_tokens_per_second",
    "open_seconds",
    "ready_seconds",
    "first_token_seconds",
    "process_seconds",
    "bind_seconds",
    "peak_mib",
    "libraries_mib",
    "others_share",
)


def spread(values):
    return [min(values), statistics.median(values), max(values)]


def row_of(contender, results, weights, peer=()):
    """
    `weights`: bytes that a decode step reads; `peer`: results of whom it is held against, of the same rounds. A machine that
    others share is faster in one minute than in the next: ratios are medians of those within a round, and shares of the limit go
    by the bandwidth around each run.
    """
    row = {"who": contender.who, "dtype": contender.dtype, "weight_mib": weights / MIB}
    for key in SPREADS:
        values = [result[key] for result in results if key in result]
        if values:
            row[key] = spread(values)
    row["limit_tokens_per_second"] = statistics.median(result["bandwidth"] for result in results) / weights
    row["limit_share"] = statistics.median(result["tokens_per_second"] * weights / result["bandwidth"] for result in results)
    if peer:
        row["ratios"] = {
            key: statistics.median(mine[key] / theirs[key] for mine, theirs in zip(results, peer))
            for key in ("tokens_per_second", "prefill_tokens_per_second")
        }
    row["peak_ratio"] = row["peak_mib"][1] / row["weight_mib"]
    row["peak_ratio_without_libraries"] = (row["peak_mib"][1] - row["libraries_mib"][1]) / row["weight_mib"]
    for key in ("sampling_share", "tokenizer_share"):
        if key in results[-1]:
            row[key] = results[-1][key]
    row["output_ids"] = results[0]["output_ids"]
    return row


def kernel_points(benchmarks):
    """The roofline's points of kernels_bench's JSON: those that say both what they read and what they compute."""
    points = []
    for run in benchmarks:
        if run.get("error_occurred") or run["name"].startswith(("memory_read", "fused_multiply_add")):
            continue
        if run.get("GB/s", 0) > 0 and run.get("GFLOP/s", 0) > 0:
            name = run["name"].removesuffix("/real_time")
            points.append({"name": name, "bytes_per_second": run["GB/s"] * 1e9, "flops_per_second": run["GFLOP/s"] * 1e9})
    return points


def counter(benchmarks, name, key):
    """A benchmark's rate in base units: the best of its repetitions, since others can only take from it."""
    return max(run[key] for run in benchmarks if run["name"].startswith(name) and key in run) * 1e9
