"""What the peers of tools/bench/cpu have in common: how their memory is read, and the line of JSON that they print."""

import json
from pathlib import Path


def peak_mib():
    """The peak of this process's resident memory so far, as model_bench reads it."""
    return next(int(line.split()[1]) / 1024 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))


def code_mib():
    """What is in memory of libraries' files, not counting what was written."""
    kib, of_library = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        key, *values = line.split()
        if not key.endswith(":"):  # a mapping begins: its last words are the file's path
            of_library = any(value.endswith(".so") or ".so." in value for value in values)
        elif of_library and key in ("Rss:", "Anonymous:"):
            kib += int(values[0]) if key == "Rss:" else -int(values[0])
    return kib / 1024


class Libraries:
    """What they take of this process, made before the model is opened: the peak until then, and code that is read later."""

    def __init__(self):
        self.peak, self.code = peak_mib(), code_mib()

    def mib(self):
        return self.peak + code_mib() - self.code


def tell(start, opened, tokens, prefill, peak, libraries_mib, **more):
    """`start`, `opened` and those of `tokens`, when each came: of time.monotonic(); `prefill`: tokens/s; memory in MiB."""
    result = {
        "open_seconds": opened - start,
        "first_token_seconds": tokens[0] - start,
        "first_token_at": tokens[0],
        "tokens_per_second": (len(tokens) - 1) / (tokens[-1] - tokens[0]),
        "peak_mib": peak,
        "libraries_mib": libraries_mib,
        "prefill_tokens_per_second": max(prefill),
    }
    print(json.dumps({**result, **more}))
