"""Python's clients of the Hub in the user's cache: huggingface_hub, HF kernels and what they import, for tests/interop.

They are a folder for PYTHONPATH, so neither a virtual environment nor the system's Python is touched.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

import cache
import registry
from errors import SetupError

REQUIREMENTS = Path(__file__).resolve().with_name("peers.txt")
NEEDED = 70_000_000  # bytes: the wheels, what they unpack to, and Python's compiled files
IMPORTED = (
    "from huggingface_hub import HfApi, hf_hub_download, scan_cache_dir, snapshot_download; HfApi();"
    "import kernels.load, kernels.locking, packaging.specifiers"
)
NAME = "peers"
TITLE = "huggingface_hub 1.33.0 and kernels 0.17.2 for the tests (4.5 MB to download, 23 MB unpacked, in the user's cache)"


def recipe():
    """Changes with any pin, so that a cache made from older ones is made again"""
    return f"peers.txt sha256:{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()}"


def folder():
    return cache.root() / "peers"


def flaw(packages):
    """Why this Python cannot use the packages, or None; what else the machine has installed has no part in it."""
    code = f"import sys; sys.path.append({str(packages)!r}); {IMPORTED}"
    tried = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, errors="replace")
    return None if tried.returncode == 0 else (tried.stderr.strip().splitlines() or [f"exit {tried.returncode}"])[-1]


def missing():
    return [] if cache.flaw(folder(), recipe()) is None else [TITLE]


def commands():
    return ["python3 tools/setup --only peers"]


def install():
    with cache.locked("peers"):
        if not missing():  # made by the set-up that this one waited for
            return
        with cache.making(folder(), recipe(), NEEDED) as (content, scratch):
            registry.install(REQUIREMENTS, content, scratch)
            reason = flaw(content)
            if reason:
                raise SetupError(
                    f"huggingface_hub and kernels were installed, but {sys.executable} cannot import it: {reason}",
                    "Python 3.10 to 3.13 can. Otherwise report it; the cache was left as it was.",
                )
