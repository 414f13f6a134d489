"""tools/bench/cpu's peer: llama.cpp by way of llama-cpp-python, on a GGUF file of the same model, the same prompt's ids, greedy.
Prints one line of JSON."""

import json
import sys
import time

from llama_cpp import Llama
from peer import Libraries, peak_mib, tell

file, ids, new_tokens, prefill_tokens, threads = sys.argv[1], json.loads(sys.argv[2]), *map(int, sys.argv[3:6])
libraries = Libraries()
start = time.monotonic()
model = Llama(file, n_ctx=1024, n_threads=threads, n_threads_batch=threads, verbose=False)
opened = time.monotonic()
times, out = [], []
for token in model.generate(ids, temp=0.0, repeat_penalty=1.0):
    times.append(time.monotonic())
    out.append(token)
    if len(out) == new_tokens or token == model.token_eos():
        break
peak, libraries_mib = peak_mib(), libraries.mib()
longer, prefill = [ids[i % len(ids)] for i in range(prefill_tokens)], []
for _ in range(2):
    model.reset()
    prefill_start = time.monotonic()
    next(model.generate(longer, temp=0.0, repeat_penalty=1.0))
    prefill.append(prefill_tokens / (time.monotonic() - prefill_start))
tell(start, opened, times, prefill, peak, libraries_mib, output_ids=out)
