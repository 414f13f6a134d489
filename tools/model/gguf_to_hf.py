#!/usr/bin/env python3
"""Turns a Llama GGUF file into a Hugging Face model folder.

Usage: gguf_to_hf.py MODEL.gguf FOLDER

FOLDER (made here, must not exist yet) gets config.json, generation_config.json, model.safetensors (float32),
tokenizer.json, tokenizer_config.json and chat_template.jinja. Quantised weights are widened to float32, so the
result computes what the GGUF file computes. Needs numpy and PyPI's gguf (requirements.txt beside this file).

Limits: architecture "llama" with a byte-level BPE tokenizer of the SmolLM kind; anything else is refused by name.
"""

import json
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

# GGUF's names of a block's tensors (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md) and transformers'.
BLOCK_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
TOP_TENSORS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
CONTROL_TOKEN = 3  # tokenizer.ggml.token_type of a special token


class Refused(Exception):
    """The GGUF file holds something this tool has no faithful translation for."""


def hf_name(gguf_name):
    """'blk.3.attn_q.weight' → 'model.layers.3.self_attn.q_proj.weight'"""
    parts = gguf_name.split(".")
    if parts[0] == "blk" and parts[2] in BLOCK_TENSORS:
        return f"model.layers.{parts[1]}.{BLOCK_TENSORS[parts[2]]}.{parts[3]}"
    if parts[0] in TOP_TENSORS:
        return f"{TOP_TENSORS[parts[0]]}.{parts[1]}"
    raise Refused(f"tensor {gguf_name} has no counterpart in transformers' Llama")


def half_split(rows, heads):
    """Undoes llama.cpp's order of q's and k's rows.

    Within a head, llama.cpp rotates neighbours (0,1), (2,3) …, transformers rotates dimension i with i + head_dim/2;
    the converter to GGUF interleaved the two halves to make up for it.
    """
    head_dim = rows.shape[0] // heads
    return rows.reshape(heads, head_dim // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def float32(tensor, metadata):
    values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
    values = values.reshape(tuple(reversed(tensor.shape.tolist())))  # GGUF lists the fastest dimension first
    kind = tensor.name.split(".")[-2]
    if kind == "attn_q":
        values = half_split(values, metadata["llama.attention.head_count"])
    elif kind == "attn_k":
        values = half_split(values, metadata["llama.attention.head_count_kv"])
    return np.ascontiguousarray(values)


def write_weights(path, reader, metadata):
    """Streams the tensors one by one, so that memory holds one of them, not the model (format: safetensors)."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for tensor in reader.tensors:
        shape = list(reversed(tensor.shape.tolist()))
        size = 4 * int(np.prod(shape))
        header[hf_name(tensor.name)] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for number, tensor in enumerate(reader.tensors, 1):
            out.write(float32(tensor, metadata).data)
            if number % 50 == 0 or number == len(reader.tensors):
                print(
                    f"  {number} of {len(reader.tensors)} tensors, {out.tell() >> 20} of {offset >> 20} MB", flush=True
                )


def config(metadata, tied):
    heads = metadata["llama.attention.head_count"]
    hidden = metadata["llama.embedding_length"]
    short = lambda value: float(str(np.float32(value)))  # GGUF's float32 1e-5 is 1e-5, not 9.999999747378752e-06
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": metadata["tokenizer.ggml.bos_token_id"],
        "eos_token_id": metadata["tokenizer.ggml.eos_token_id"],
        "head_dim": metadata.get("llama.attention.key_length", hidden // heads),
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": metadata["llama.feed_forward_length"],
        "max_position_embeddings": metadata["llama.context_length"],
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": metadata["llama.block_count"],
        "num_key_value_heads": metadata["llama.attention.head_count_kv"],
        "pad_token_id": metadata["tokenizer.ggml.padding_token_id"],
        "rms_norm_eps": short(metadata["llama.attention.layer_norm_rms_epsilon"]),
        "rope_scaling": None,
        "rope_theta": short(metadata["llama.rope.freq_base"]),
        "tie_word_embeddings": tied,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": len(metadata["tokenizer.ggml.tokens"]),
    }


def added_token(content):
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"content": content, **flags}


def tokenizer(tokens, special, merges):
    """tokenizer.json as SmolLM2 published it: single digits, then GPT-2's byte-level split, no normalizer."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": index, **added_token(tokens[index])} for index in special],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": merges,
        },
    }


def tokenizer_config(metadata, tokens, special):
    named = lambda key: tokens[metadata[f"tokenizer.ggml.{key}_token_id"]]
    # PreTrainedTokenizerFast reads tokenizer.json as it stands. The GPT2Tokenizer that SmolLM2's publisher names is
    # rebuilt from vocabulary and merges by transformers 5, which loses the split of digits.
    return {
        "add_prefix_space": metadata["tokenizer.ggml.add_space_prefix"],
        "added_tokens_decoder": {str(index): added_token(tokens[index]) for index in special},
        "additional_special_tokens": [named("bos"), named("eos")],
        "bos_token": named("bos"),
        "chat_template": metadata["tokenizer.chat_template"],
        "clean_up_tokenization_spaces": False,
        "eos_token": named("eos"),
        "model_max_length": metadata["llama.context_length"],
        "pad_token": named("padding"),
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": named("unknown"),
    }


def check(metadata):
    known = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.add_bos_token": False,
    }
    for key, value in known.items():
        if metadata.get(key) != value:
            raise Refused(f"{key} is {metadata.get(key)!r}; this tool translates {value!r} only")
    scaling = [key for key in metadata if key.startswith("llama.rope.scaling")]
    if scaling:
        raise Refused(f"rope scaling ({scaling[0]}) is not translated")


def convert(gguf_file, folder):
    reader = GGUFReader(gguf_file)
    metadata = {key: field.contents() for key, field in reader.fields.items()}
    check(metadata)
    folder.mkdir()
    tokens = metadata["tokenizer.ggml.tokens"]
    special = [index for index, kind in enumerate(metadata["tokenizer.ggml.token_type"]) if kind == CONTROL_TOKEN]
    tied = not any(tensor.name.startswith("output.") for tensor in reader.tensors)
    ends = {
        key: metadata[f"tokenizer.ggml.{gguf}_token_id"]
        for key, gguf in {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}.items()
    }

    def write(name, value, **layout):
        (folder / name).write_text(json.dumps(value, ensure_ascii=False, **layout) + "\n", encoding="utf-8")

    write("config.json", config(metadata, tied), indent=2)
    write("generation_config.json", ends, indent=2)
    write("tokenizer.json", tokenizer(tokens, special, metadata["tokenizer.ggml.merges"]), indent=1)
    write("tokenizer_config.json", tokenizer_config(metadata, tokens, special), indent=2)
    (folder / "chat_template.jinja").write_text(metadata["tokenizer.chat_template"], encoding="utf-8")
    write_weights(folder / "model.safetensors", reader, metadata)


def main():
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        print(__doc__.strip())
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except (Refused, OSError, ValueError) as error:
        print(f"gguf_to_hf: {sys.argv[1]}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
