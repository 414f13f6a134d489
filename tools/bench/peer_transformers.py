"""The peer's side of tools/bench/cpu: transformers on the same folder, the same prompt ids, greedy. Prints one JSON line."""

import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM

folder, dtype, ids, new_tokens, threads = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
torch.set_num_threads(threads)
start = time.perf_counter()
model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
load = time.perf_counter() - start


class Clock:
    """A streamer that notes when each token arrives; the first call is the prompt's."""

    def __init__(self):
        self.times = []

    def put(self, value):
        self.times.append(time.perf_counter())

    def end(self):
        pass


with torch.no_grad():
    clock = Clock()
    start = time.perf_counter()
    out = model.generate(torch.tensor([ids]), max_new_tokens=new_tokens, do_sample=False, streamer=clock)
tokens = clock.times[1:]
print(
    json.dumps(
        {
            "output_ids": out[0][len(ids) :].tolist(),
            "tokens_per_second": (len(tokens) - 1) / (tokens[-1] - tokens[0]),
            "prefill_seconds": tokens[0] - start,
            "load_seconds": load,
        }
    )
)
