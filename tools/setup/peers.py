"""Python's clients of the Hub in the user's cache: huggingface_hub, HF kernels and what they import, for tests/interop."""

from pathlib import Path

import cache
import packages

REQUIREMENTS = Path(__file__).resolve().with_name("peers.txt")
NEEDED = 70_000_000  # bytes: the wheels, what they unpack to, and Python's compiled files
IMPORTED = (
    "from huggingface_hub import HfApi, hf_hub_download, scan_cache_dir, snapshot_download; HfApi();"
    "import kernels.load, kernels.locking, packaging.specifiers"
)
NAME = "peers"
TITLE = "huggingface_hub 1.33.0 and kernels 0.17.2 for the tests (4.5 MB to download, 23 MB unpacked, in the user's cache)"


def folder():
    return cache.root() / NAME


def missing():
    return [] if packages.is_there(folder(), REQUIREMENTS) else [TITLE]


def commands():
    return [f"python3 tools/setup --only {NAME}"]


def install():
    packages.install(folder(), REQUIREMENTS, NEEDED, IMPORTED, "huggingface_hub and kernels were", "Python 3.10 to 3.13")
