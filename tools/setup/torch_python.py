"""Python's torch 2.11 in the user's cache, for the tests of Graft's operators: tests/interop/test_torch_operators.py.

Not part of a set-up that does not ask for it: it is large.
"""

from pathlib import Path

import cache
import packages

REQUIREMENTS = Path(__file__).resolve().with_name("torch_python.txt")
NEEDED = 6_500_000_000  # bytes: the wheels and what they unpack to
IMPORTED = "import torch, torch.export, torch._inductor.compile_fx; assert torch.__version__.startswith('2.11.')"
NAME = "torch_python"
TITLE = "Python's torch 2.11.0 for the tests of torch.compile (2.2 GB to download, 3.7 GB unpacked, in the user's cache)"


def folder():
    return cache.root() / NAME


def missing():
    return [] if packages.is_there(folder(), REQUIREMENTS) else [TITLE]


def commands():
    return [f"python3 tools/setup --only {NAME}"]


def install():
    packages.install(folder(), REQUIREMENTS, NEEDED, IMPORTED, "torch was", "Python 3.11 and 3.12")
