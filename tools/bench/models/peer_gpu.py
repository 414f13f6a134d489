"""tools/bench/gpu's peer: transformers on one GPU. Prints one line of JSON.

  peer_gpu.py make FOLDER                      Qwen3-0.6B with random weights, bfloat16
  peer_gpu.py eager FOLDER                     to the first token, decode, a long prompt, a training step, as gpu_bench model has them
  peer_gpu.py compiled FOLDER                  decode of one row with a static cache and torch.compile
  peer_gpu.py tokens FOLDER DTYPE FILE DEVICE  what gpu_bench tokens chooses here, and how far the logits in its FILE are from these
"""

import json
import sys
import time
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, GenerationConfig, Qwen3Config, Qwen3ForCausalLM

QWEN3 = dict(
    vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16, num_key_value_heads=8, head_dim=128,
    max_position_embeddings=40960, rms_norm_eps=1e-6, tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 1e6},
    bos_token_id=None, eos_token_id=None, pad_token_id=None,
)  # fmt: skip
PROMPT, NEW_TOKENS = 128, 128


def make(folder):
    torch.manual_seed(0)
    Qwen3ForCausalLM(Qwen3Config(**QWEN3)).to(torch.bfloat16).save_pretrained(folder)
    return {}


def opened(folder, dtype, device="cuda"):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).to(device).eval()
    model.generation_config = GenerationConfig(do_sample=False, eos_token_id=None, pad_token_id=0)  # nothing ends a row early
    return model


def random_ids(model, batch, tokens):
    return torch.randint(model.config.vocab_size, (batch, tokens), device="cuda")


def generate(model, ids, tokens, **more):
    return model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, **more)


def seconds(work, times):
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def decode(model, batch, **more):
    """Tokens/s, prompt and all; the best of three."""
    ids = random_ids(model, batch, PROMPT)
    ask = lambda: generate(model, ids, NEW_TOKENS, **more)  # noqa: E731
    ask()
    return batch * NEW_TOKENS / min(seconds(ask, 1) for _ in range(3))


def eager(folder):
    torch.empty(1, device="cuda")  # the context is there before the clock starts
    start = time.perf_counter()
    model = opened(folder, "bfloat16")
    generate(model, random_ids(model, 1, PROMPT), 1)
    torch.cuda.synchronize()
    result = {"torch": torch.__version__, "transformers": transformers.__version__, "first_token_seconds": time.perf_counter() - start}
    result["weight_bytes"] = sum(parameter.nbytes for parameter in model.parameters())
    for batch in (1, 8, 32):
        result[f"decode_tokens_per_second_{batch}"] = decode(model, batch)

    long, text = random_ids(model, 1, 8192), random_ids(model, 8, 1024)
    with torch.no_grad():
        prefill = lambda: model(long, logits_to_keep=1, use_cache=False)  # noqa: E731
        seconds(prefill, 3)
        result["prefill_8k_tokens_per_second"] = 5 * 8192 / seconds(prefill, 5)

    def training(tokens, **inputs):
        def step():
            model.zero_grad(set_to_none=True)
            model(text, use_cache=False, **inputs).loss.backward()

        seconds(step, 2)
        torch.cuda.reset_peak_memory_stats()
        return 4 * tokens / seconds(step, 4), torch.cuda.max_memory_allocated() / (1 << 30)

    model.train()
    result["training_tokens_per_second"], result["training_peak_gib"] = training(text.numel(), labels=text)
    lengths = torch.arange(1024, 0, -128, device="cuda")[:, None]
    real = torch.arange(1024, device="cuda") < lengths
    padded = training(lengths.sum().item(), labels=text.masked_fill(~real, -100), attention_mask=real.long())
    result["padded_training_tokens_per_second"], result["padded_training_peak_gib"] = padded
    return result


def compiled(folder):
    return {"decode_tokens_per_second_1": decode(opened(folder, "bfloat16"), 1, cache_implementation="static")}


def tokens(folder, dtype, file, device):
    model = opened(folder, dtype, device)
    prompt = torch.arange(3, 67, device=device)[None]
    with torch.no_grad():
        logits = model(prompt, use_cache=False).logits[0].float().cpu()
        out = generate(model, prompt, 64, return_dict_in_generate=True, output_logits=True)
    first_two = torch.cat(out.logits).float().topk(2).values
    result = {"ids": out.sequences[0, 64:].tolist(), "gaps": (first_two[:, 0] - first_two[:, 1]).tolist()}
    result["largest_logit"] = logits.abs().max().item()
    if Path(file).exists():
        theirs = torch.from_file(file, size=logits.numel()).view_as(logits)
        result["logits_difference"] = ((theirs - logits).abs().max() / logits.abs().max()).item()
    return result


if __name__ == "__main__":
    print(json.dumps({"make": make, "eager": eager, "compiled": compiled, "tokens": tokens}[sys.argv[1]](*sys.argv[2:])))
