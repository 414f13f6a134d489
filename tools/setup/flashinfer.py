"""FlashInfer's headers, from which the CUDA variant of graft-kernels/attention is compiled: FLASHINFER_INCLUDE if set, else
PyPI's wheel in the user's cache.

Part of a set-up where there is a CUDA toolkit. plugins/cmake/FindFlashInfer.cmake looks in the same places.
"""

import os
import re
import shutil
from pathlib import Path

import cache
import registry
from errors import SetupError

VERSION = "0.7.2.post1"
WHEEL = registry.Wheel(
    "flashinfer-python",
    VERSION,
    "bfdc18b9e1e4d8d0730fe4343dc0e284cd0c160086de80f99888bc4867922d49",
    62_052_965,
    "any",
)
RECIPE = f"PyPI's flashinfer-python {VERSION}"
# Its CCCL (CUDA's C++ headers) is newer than the toolkit's, which lacks what it uses.
WANTED = re.compile(
    r"flashinfer/data/(include|cccl/(libcudacxx/include|cub/cub|thrust/thrust))/|flashinfer_python-[^/]*/licenses/"
)
NEEDED = 170_000_000  # bytes: the wheel, twice while pip moves it, and what it unpacks to
HEADER = "flashinfer/attention/prefill.cuh"
NAME = "flashinfer"
TITLE = f"FlashInfer {VERSION}'s headers for the CUDA kernels (62 MB to download, 32 MB unpacked, in the user's cache)"


def of_use():
    """Whether there is an nvcc, where plugins/cuda.cmake looks for it; without one nothing includes these headers"""
    folders = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    places = [Path(folder) / "bin" / "nvcc" for folder in folders if folder]
    return bool(os.environ.get("CUDACXX") or shutil.which("nvcc") or any(place.is_file() for place in places))


def folder():
    return cache.root() / "flashinfer" / VERSION


def is_there():
    """A wrong FLASHINFER_INCLUDE is an error, not a reason to look on."""
    named = os.environ.get("FLASHINFER_INCLUDE")
    if not named:
        return cache.flaw(folder(), RECIPE) is None
    if not (Path(named) / HEADER).is_file():
        raise SetupError(
            f"FLASHINFER_INCLUDE is set, but {named} has no {HEADER}",
            f"Point it at the include folder of a FlashInfer {VERSION}, or unset it.",
        )
    return True


def missing():
    return [] if is_there() else [TITLE]


def commands():
    return [f"python3 tools/setup --only {NAME}", "or: export FLASHINFER_INCLUDE=/path/to/flashinfer/include"]


def install():
    with cache.locked(NAME):
        if is_there():  # made by the set-up that this one waited for
            return
        with cache.making(folder(), RECIPE, NEEDED) as (content, scratch):
            wheel = registry.download([WHEEL], scratch, "downloading FlashInfer")
            registry.unpack(wheel, WANTED.match, content, "unpacking its headers")
            if not (content / "flashinfer/data/include" / HEADER).is_file():
                raise SetupError(f"the wheel has no {HEADER}", "Report it; the cache was left as it was.")
