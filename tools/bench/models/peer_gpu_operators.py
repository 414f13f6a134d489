"""tools/bench/gpu's peers for single kernels, on the shapes of gpu_bench kernels in bfloat16. Prints one line of JSON.

  peer_gpu_operators.py torch       torch's operators from Python, and what torch.compile makes of them
  peer_gpu_operators.py flashinfer  FlashInfer's own, which it may compile first
"""

import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F

SHAPES = ((1024, 1024), (4096, 1024), (16384, 4096), (32768, 8192))
EPS, HEAD = 1e-6, 128


def device_seconds(work):
    """Of a call, from event to event around ten of them: what the host takes for a launch hides behind the one before."""
    for _ in range(5):
        work()
    begin, end, milliseconds = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True), []
    for _ in range(20):
        begin.record()
        for _ in range(10):
            work()
        end.record()
        torch.cuda.synchronize()
        milliseconds.append(begin.elapsed_time(end))
    return statistics.median(milliseconds) * 1e-4


def copy_bandwidth():
    """Bytes a second, read and written."""
    source = torch.empty(2 << 30, dtype=torch.uint8, device="cuda").random_(0, 255)
    target = torch.empty_like(source)
    return 2 * source.nbytes / device_seconds(lambda: target.copy_(source))


def rms_norm(x, w):
    return F.rms_norm(x, w.shape, w, EPS)


def add_rms_norm(x, r, w):
    total = x + r
    return total, F.rms_norm(total, w.shape, w, EPS)


def silu_and_mul(g):
    gate, up = g.chunk(2, dim=-1)
    return F.silu(gate) * up


def turned(t, cos, sin):
    low, high = t.chunk(2, dim=-1)
    return t * cos + torch.cat((-high, low), dim=-1) * sin


def rotary(q, k, cos, sin):
    return turned(q, cos, sin), turned(k, cos, sin)


def cases(tokens, width):
    """(function, arguments, bytes that must be read and written)"""
    random = lambda *shape: torch.randn(shape, device="cuda", dtype=torch.bfloat16)  # noqa: E731
    x, r, w, g = random(tokens, width), random(tokens, width), random(width), random(tokens, 2 * width)
    heads = width // HEAD
    q, k = x.view(1, tokens, heads, HEAD).transpose(1, 2), random(1, tokens, max(heads // 4, 1), HEAD).transpose(1, 2)
    cos, sin = random(1, tokens, HEAD), random(1, tokens, HEAD)
    yield rms_norm, (x, w), 2 * x.nbytes
    yield add_rms_norm, (x, r, w), 4 * x.nbytes
    yield silu_and_mul, (g,), 3 * x.nbytes
    yield rotary, (q, k, cos, sin), 2 * (q.nbytes + k.nbytes + cos.nbytes)


def compiled(function):
    torch.compiler.reset()  # another shape's version would have its guards asked first
    return torch.compile(function, dynamic=False)


def contenders(whose):
    """Who → what they run in a function's place; nothing if they have none."""
    if whose == "torch":
        return {"torch eager": lambda function: function, "torch.compile": compiled}
    import flashinfer

    own = {
        rms_norm: lambda x, w: flashinfer.rmsnorm(x, w, EPS),
        add_rms_norm: lambda x, r, w: flashinfer.fused_add_rmsnorm(x, r, w, EPS),  # in place
        silu_and_mul: lambda g: flashinfer.silu_and_mul(g),
    }
    return {"FlashInfer": own.get}


def host_us(work):
    """What a call costs the host: enqueued faster than it runs, the best of five."""
    best = float("inf")
    for _ in range(5):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(500):
            work()
        best = min(best, (time.perf_counter() - start) / 500 * 1e6)
    return best


def main(whose):
    rows, failed = [], {}
    for tokens, width in SHAPES:
        for function, arguments, size in cases(tokens, width):
            for who, instead in contenders(whose).items():
                try:
                    run = instead(function)
                    if run is None:
                        continue
                    row = {"who": who, "kernel": function.__name__, "shape": f"{tokens}x{width}", "bytes": size}
                    rows.append({**row, "seconds": device_seconds(lambda: run(*arguments))})
                except Exception as why:  # one that does not compile leaves the others theirs
                    failed[f"{who}'s {function.__name__}"] = (str(why).strip() or repr(why)).splitlines()[0][:200]
    result = {"torch": torch.__version__, "copy_tb_per_second": copy_bandwidth() / 1e12, "rows": rows, "failed": list(failed.items())}
    if whose == "torch":
        x, w = torch.randn(1, 1024, device="cuda", dtype=torch.bfloat16), torch.randn(1024, device="cuda", dtype=torch.bfloat16)
        result["host_us_rms_norm"] = host_us(lambda: rms_norm(x, w))
    print(json.dumps(result))


if __name__ == "__main__":
    with torch.no_grad():
        main(sys.argv[1])
