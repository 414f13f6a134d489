"""What the peers of tools/bench/cpu have in common: how their memory is read, and the line of JSON that they print."""

import json
from pathlib import Path


def peak_mib():
    """The peak of this process's resident memory so far, as model_bench reads it."""
    return next(int(line.split()[1]) / 1024 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))


def tell(start, opened, tokens, prefill, peak, libraries_peak, **more):
    """`start`, `opened` and those of `tokens`, when each came: of time.monotonic(); `prefill`: tokens/s; peaks in MiB."""
    result = {
        "open_seconds": opened - start,
        "first_token_seconds": tokens[0] - start,
        "first_token_at": tokens[0],
        "tokens_per_second": (len(tokens) - 1) / (tokens[-1] - tokens[0]),
        "peak_mib": peak,
        "peak_of_libraries_mib": libraries_peak,
        "prefill_tokens_per_second": max(prefill),
    }
    print(json.dumps({**result, **more}))
