#!/usr/bin/env python3
"""Writes tiny-qwen3/ and tiny-llama/: small random checkpoints, and what transformers computes with them on CPU.

Usage: tiny_models.py

Weights, inputs and choices follow from the seeds below. Weights are drawn wide enough for the greedy choice to stand
clear of the next token (smallest_greedy_margin), so that a different order of summation cannot change the ids.
config.json is in the format that each family's published checkpoints have or will have: Qwen3 the older one (rope_theta at
the top level), Llama transformers 5's (rope_parameters); other_config.json says the same in the other format.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen3Config

OUT = Path(__file__).resolve().parent.parent
VOCABULARY, PADDED, LENGTH, NEW = 256, 3, 10, 16
PAD = 0
# Chosen with rope_theta 10000 so that of the 8 frequencies the first stays, the second is blended, the rest are divided.
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}

COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": PAD,
    "max_position_embeddings": 256,
    "use_cache": True,
    "initializer_range": 0.02,
}
# name: configuration class, its fields, rope theta, rope scaling, seed of the weights
MODELS = {
    # head_dim 24, not hidden/heads = 16, as in Qwen3-0.6B (128, not 64)
    "tiny-qwen3": (
        Qwen3Config,
        {
            **COMMON,
            "model_type": "qwen3",
            "architectures": ["Qwen3ForCausalLM"],
            "intermediate_size": 96,
            "head_dim": 24,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": True,
            "sliding_window": None,
            "use_sliding_window": False,
            "max_window_layers": 2,
        },
        {"rope_theta": 1000000.0},
        None,
        19,
    ),
    "tiny-llama": (
        LlamaConfig,
        {
            **COMMON,
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            "intermediate_size": 80,
            "head_dim": 16,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": False,
            "mlp_bias": False,
        },
        {"rope_theta": 10000.0},
        LLAMA3_ROPE,
        33,
    ),
}


def numbers(tensor):
    """float32 values as the shortest decimals that read back to the same float32"""
    return [float(str(value)) for value in tensor.detach().to(torch.float32).flatten().numpy()]


def write_configs(folder, shape, theta, scaling, older_first):
    older = {**shape, "torch_dtype": "float32", "rope_scaling": scaling, **theta}
    newer = {**shape, "dtype": "float32", "rope_parameters": {**(scaling or {"rope_type": "default"}), **theta}}
    for name, config in zip(("config.json", "other_config.json"), (older, newer) if older_first else (newer, older)):
        (folder / name).write_text(json.dumps(config, indent=2) + "\n")
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": PAD}
    (folder / "generation_config.json").write_text(json.dumps(ends, indent=2) + "\n")


def write_weights(folder, config, seed):
    generator = torch.Generator().manual_seed(seed)
    weights = AutoModelForCausalLM.from_config(config).state_dict()
    if config.tie_word_embeddings:
        del weights["lm_head.weight"]
    for name, weight in weights.items():
        if weight.dim() == 1:  # norms: around one, so that a forgotten weight shows
            weights[name] = 1 + 0.3 * torch.randn(weight.shape, generator=generator)
        else:
            weights[name] = torch.randn(weight.shape, generator=generator) * 1.5 / weight.shape[1] ** 0.5
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def inputs(seed):
    """A batch of two, the first row left padded by PADDED; ids above 2, so that none is special"""
    ids = torch.randint(3, VOCABULARY, (2, LENGTH), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    ids[0, :PADDED], mask[0, :PADDED] = PAD, 0
    labels = ids.clone()
    # A row's first real token is predicted from padding, so it is no label either; two more are left out in the middle.
    labels[0, : PADDED + 1] = -100
    labels[1, 4:6] = -100
    return ids, mask, labels


def generate(model, ids, mask=None, **options):
    mask = torch.ones_like(ids) if mask is None else mask
    options = {"eos_token_id": None, **options}
    return model.generate(ids, attention_mask=mask, max_new_tokens=NEW, do_sample=False, pad_token_id=PAD, **options)[
        :, ids.shape[1] :
    ]


@torch.no_grad()
def smallest_margin(model, ids, new):
    logits = model(torch.cat([ids, new], dim=1)).logits[:, ids.shape[1] - 1 : -1]
    top = logits.topk(2, dim=-1).values
    return float((top[..., 0] - top[..., 1]).min())


def gradients(model):
    """{parameter: norm, some (index into the flattened gradient → value)}; all values of the small ones"""
    rows = {}
    for name, parameter in model.named_parameters():
        flat = parameter.grad.flatten()
        step = 1 if flat.numel() <= 64 else flat.numel() // 7
        indices = list(range(0, flat.numel(), step))
        rows[name] = {"norm": float(flat.double().norm()), "indices": indices, "values": numbers(flat[indices])}
    return rows


def golden(model, ids, mask, labels):
    real = ids[:1, PADDED:]  # row 0 without its padding
    out = model(ids, attention_mask=mask, labels=labels)
    out.loss.backward()
    single, batch = generate(model, real), generate(model, ids, mask)
    assert torch.equal(single[0], batch[0]), "left padding changed the greedy ids"
    row = batch[0].tolist()
    eos = next(token for step, token in enumerate(row) if step >= 4 and token not in row[:step])
    with torch.no_grad():
        unpadded = model(real).logits
    logits = out.logits * mask.unsqueeze(-1)
    return {
        "input_ids": ids.tolist(),
        "attention_mask": mask.tolist(),
        "labels": labels.tolist(),
        "logits_shape": list(logits.shape),
        "logits_note": "row-major; positions with mask 0 mean nothing and stand as 0",
        "logits": numbers(logits),
        "loss": out.loss.item(),
        "gradients": gradients(model),
        "unpadded_input_ids": real.tolist(),
        "unpadded_logits": numbers(unpadded),
        "greedy_ids": batch.tolist(),
        "greedy_ids_unpadded": single.tolist(),
        "greedy_eos": {
            "eos_token_id": eos,
            "pad_token_id": PAD,
            "ids": generate(model, ids, mask, eos_token_id=eos).tolist(),
        },
        "smallest_greedy_margin": min(smallest_margin(model, real, single), smallest_margin(model, ids[1:], batch[1:])),
    }


def main():
    for name, (family, shape, theta, scaling, seed) in MODELS.items():
        folder = OUT / name
        folder.mkdir(exist_ok=True)
        write_configs(folder, shape, theta, scaling, older_first=family is Qwen3Config)
        write_weights(
            folder,
            family(
                **{k: v for k, v in json.loads((folder / "config.json").read_text()).items() if k != "architectures"}
            ),
            seed,
        )
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        result = {
            "made_with": f"torch {torch.__version__.split('+')[0]}, transformers 5.17.0, float32, CPU, eager attention",
            **golden(model, *inputs(seed=7)),
        }
        (folder / "golden.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
        sizes = {path.name: f"{path.stat().st_size >> 10} KB" for path in sorted(folder.iterdir())}
        print(name, "loss", result["loss"], "margin", result["smallest_greedy_margin"], sizes)


if __name__ == "__main__":
    main()
