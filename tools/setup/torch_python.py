"""Python's torch 2.11 in the user's cache, for the tests of Graft's operators: tests/interop/test_torch_operators.py.

It is a folder for PYTHONPATH, as the peers are. Not part of a set-up that does not ask for it: it is large.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

import cache
import registry
from errors import SetupError

REQUIREMENTS = Path(__file__).resolve().with_name("torch_python.txt")
NEEDED = 6_500_000_000  # bytes: the wheels and what they unpack to
IMPORTED = "import torch, torch.export, torch._inductor.compile_fx; assert torch.__version__.startswith('2.11.')"
NAME = "torch_python"
TITLE = "Python's torch 2.11.0 for the tests of torch.compile (2.2 GB to download, 3.7 GB unpacked, in the user's cache)"


def recipe():
    """Changes with any pin, so that a cache made from older ones is made again"""
    return f"torch_python.txt sha256:{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()}"


def folder():
    return cache.root() / "torch_python"


def flaw(packages):
    """Why this Python cannot use the packages, or None; what else the machine has installed has no part in it."""
    code = f"import sys; sys.path.append({str(packages)!r}); {IMPORTED}"
    tried = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, errors="replace")
    return None if tried.returncode == 0 else (tried.stderr.strip().splitlines() or [f"exit {tried.returncode}"])[-1]


def missing():
    return [] if cache.flaw(folder(), recipe()) is None else [TITLE]


def commands():
    return ["python3 tools/setup --only torch_python"]


def install():
    with cache.locked(NAME):
        if not missing():  # made by the set-up that this one waited for
            return
        with cache.making(folder(), recipe(), NEEDED) as (content, scratch):
            registry.install(REQUIREMENTS, content, scratch)
            reason = flaw(content)
            if reason:
                raise SetupError(
                    f"torch was installed, but {sys.executable} cannot import it: {reason}",
                    "Python 3.11 and 3.12 can. Otherwise report it; the cache was left as it was.",
                )
