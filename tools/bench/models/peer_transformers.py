"""tools/bench/cpu's peer: transformers on the same folder and prompt, greedy. Prints one line of JSON."""

import sys
import time

import torch
from peer import Libraries, peak_mib, tell
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, dtype, prompt, new_tokens, prefill_tokens, threads = *sys.argv[1:4], *map(int, sys.argv[4:7])
torch.set_num_threads(threads)
libraries = Libraries()


class Clock:
    """A streamer that notes when each token arrives; the first call is the prompt's."""

    def __init__(self):
        self.times = []

    def put(self, value):
        self.times.append(time.monotonic())

    def end(self):
        pass


start = time.monotonic()
model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
opened = time.monotonic()
tokenizer = AutoTokenizer.from_pretrained(folder)
text = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True)
ids = tokenizer.encode(text, add_special_tokens=False)
ready = time.monotonic()
with torch.no_grad():
    clock = Clock()
    out = model.generate(torch.tensor([ids]), max_new_tokens=new_tokens, do_sample=False, streamer=clock)
    times = clock.times[1:]
    peak, libraries_mib = peak_mib(), libraries.mib()
    longer, prefill = torch.tensor([[ids[i % len(ids)] for i in range(prefill_tokens)]]), []
    for _ in range(2):
        prefill_start = time.monotonic()
        model.generate(longer, max_new_tokens=1, do_sample=False)
        prefill.append(prefill_tokens / (time.monotonic() - prefill_start))
answer = {"ready_seconds": ready - start, "prompt_ids": ids, "output_ids": out[0][len(ids) :].tolist()}
tell(start, opened, times, prefill, peak, libraries_mib, **answer)
