"""Writes rope.json: the rotary frequencies that transformers 5.17 (with torch 2.11) computes, for rope_test.cpp.

Usage: python make_rope_golden.py rope.json
in an environment made from ../../golden/make/requirements.txt.
"""

import json
import sys

from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

SHAPE = {
    "vocab_size": 256,
    "hidden_size": 192,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "head_dim": 48,
    "max_position_embeddings": 2048,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
YARN_MSCALE = {
    "rope_type": "yarn",
    "factor": 40.0,
    "original_max_position_embeddings": 4096,
    "mscale": 0.707,
    "mscale_all_dim": 1.0,
    "beta_fast": 16,
    "beta_slow": 2,
    "truncate": False,
}
# name, sequence length, what differs from SHAPE
CASES = [
    ("default", 0, {"rope_theta": 100000.0}),
    ("default_parameters", 0, {"rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}}),
    ("linear", 0, {"rope_theta": 10000.0, "rope_scaling": {"type": "linear", "factor": 4.0}}),
    ("dynamic", 0, {"rope_theta": 10000.0, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}),
    ("dynamic_long", 10000, {"rope_theta": 10000.0, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}),
    ("llama3", 0, {"rope_theta": 500000.0, "max_position_embeddings": 131072, "rope_scaling": LLAMA3}),
    ("yarn", 0, {"rope_theta": 1000000.0, "max_position_embeddings": 131072, "rope_scaling": YARN}),
    ("yarn_mscale", 0, {"rope_theta": 10000.0, "max_position_embeddings": 4096, "rope_scaling": YARN_MSCALE}),
]


def compute(name, sequence_length, changes):
    written = {"model_type": "llama", **SHAPE, **changes}
    given = json.loads(json.dumps({**SHAPE, **changes}))  # LlamaConfig changes what it is given
    config = LlamaConfig(**given)
    rope_type = config.rope_parameters["rope_type"]
    if rope_type == "default":
        frequencies, scaling = LlamaRotaryEmbedding.compute_default_rope_parameters(config)
    else:
        frequencies, scaling = ROPE_INIT_FUNCTIONS[rope_type](config, "cpu", seq_len=sequence_length or None)
    return {
        "name": name,
        "config": written,
        "sequence_length": sequence_length,
        "inv_freq": frequencies.tolist(),
        "attention_scaling": float(scaling),
    }


with open(sys.argv[1], "w") as file:
    json.dump([compute(*case) for case in CASES], file, separators=(",", ":"))
    file.write("\n")
