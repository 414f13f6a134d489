"""The peer's side of tools/bench/training: transformers on the same folder and batches, with the same AdamW. Reads the
text's token ids as JSON, prints one JSON line."""

import json
import resource
import statistics
import sys
import time

import torch
from transformers import AutoModelForCausalLM

folder, dtype = sys.argv[1], sys.argv[2]
steps, batch, length = (int(word) for word in sys.argv[3:6])
learning_rate, threads = float(sys.argv[6]), int(sys.argv[7])
ids = torch.tensor(json.load(sys.stdin))
torch.set_num_threads(threads)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).train()
optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01, fused=True)
windows = ids[: len(ids) // length * length].view(-1, length)


def usage():
    return resource.getrusage(resource.RUSAGE_SELF)


losses, seconds, cpu_seconds = [], [], []
for step in range(steps):
    rows = windows[[(step * batch + row) % len(windows) for row in range(batch)]]
    start, before = time.perf_counter(), usage()
    loss = model(input_ids=rows, labels=rows, use_cache=False).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    after = usage()
    seconds.append(time.perf_counter() - start)
    cpu_seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    losses.append(loss.item())
    del loss
print(
    json.dumps(
        {
            "losses": losses,
            "seconds": seconds,
            "steps_per_second": 1 / statistics.median(seconds[1:] or seconds),
            "cpu_seconds_per_step": statistics.median(cpu_seconds[1:] or cpu_seconds),
            "peak_mib": usage().ru_maxrss / 1024,
        }
    )
)
