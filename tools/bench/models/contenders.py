"""Who takes part in tools/bench/cpu, as data: a line more here is a line more in the table."""

from dataclasses import dataclass

INT8 = (
    "DecoderLayer=graft-kernels/decoder:Int8DecoderLayer",
    "Linear=graft-kernels/linear:Int8Linear",
    "SwiGLUMLP=graft-kernels/mlp:Int8SwiGLUMLP",
)


@dataclass(frozen=True)
class Contender:
    who: str
    dtype: str  # of the weights as they are loaded
    runner: str  # graft, transformers or llama.cpp
    kernels: str = ""  # graft's: off or strict
    map: tuple = ()  # graft's: LAYER=REF
    weight_bytes: float = 0  # of one weight as a decode step reads it, with its part of a scale; 0: the file's size says
    asked_for: str = ""  # the option that it takes


CONTENDERS = (
    Contender("own layers", "float32", "graft", "off", weight_bytes=4),
    Contender("kernels", "float32", "graft", "strict", weight_bytes=4),
    Contender("int8 kernels", "float32", "graft", "strict", INT8, weight_bytes=1 + 2 / 64, asked_for="int8"),
    Contender("transformers", "float32", "transformers", weight_bytes=4),
    Contender("own layers", "bfloat16", "graft", "off", weight_bytes=2),
    Contender("kernels", "bfloat16", "graft", "strict", weight_bytes=2),
    Contender("int8 kernels", "bfloat16", "graft", "strict", INT8, weight_bytes=1 + 2 / 64, asked_for="int8"),
    Contender("transformers", "bfloat16", "transformers", weight_bytes=2),
    Contender("llama.cpp", "Q4_1", "llama.cpp"),
)


def references(contender):
    """The entries that its mappings name."""
    return [mapping.partition("=")[2] for mapping in contender.map]
