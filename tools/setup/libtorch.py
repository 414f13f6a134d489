"""LibTorch 2.11: LIBTORCH if set, else the torch of the python3 on PATH, else PyPI's wheel in the user's cache.

core/cmake/FindLibTorch.cmake follows the same order, so a build finds what is found or made here.
"""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cache
import registry
from errors import SetupError

SERIES, VERSION = "2.11", "2.11.0"
WHEELS = [
    registry.Wheel(
        "torch",
        VERSION,
        "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
        530_712_279,
        "manylinux_2_28_x86_64",
    ),
    # libtorch_cpu.so of a CUDA wheel needs libcudart.so.13 and libcupti.so.13 on every machine.
    registry.Wheel(
        "nvidia-cuda-runtime",
        "13.0.96",
        "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        2_243_632,
        "manylinux2014_x86_64",
    ),
    registry.Wheel(
        "nvidia-cuda-cupti",
        "13.0.85",
        "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
        10_715_597,
        "manylinux_2_25_x86_64",
    ),
]
RECIPE = "PyPI's " + ", ".join(f"{wheel.name} {wheel.version}" for wheel in WHEELS)
WANTED = re.compile(
    r"torch/(include|lib|share)/|torch-[^/]*/licenses/|nvidia/cu13/lib/lib(cudart|cupti)\.so|nvidia_[^/]*/licenses/"
)
NEEDED = 1_800_000_000  # bytes: the wheels and what they unpack to
FILES = [
    "include/torch/csrc/api/include/torch/torch.h",
    "include/torch/headeronly/version.h",
    "lib/libtorch_cpu.so",
    "lib/libc10.so",
]
NAME = "libtorch"
TITLE = f"LibTorch {SERIES} (545 MB to download, 1.1 GB unpacked, in the user's cache)"


def flaw(folder):
    """Why the folder is no LibTorch of this series, or None"""
    for file in FILES:
        if not (folder / file).exists():
            return f"{folder} has no {file}"
    numbers = re.findall(
        r"define TORCH_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", (folder / "include/torch/headeronly/version.h").read_text()
    )
    if numbers[:2] != SERIES.split("."):
        return f"{folder} is version {'.'.join(numbers)}, not {SERIES}"
    if (folder / "lib/libtorch_cuda.so").exists() and not _cuda_runtime(folder):
        return f"{folder} is a CUDA build, and libcudart is neither beside it nor in an installed toolkit"
    return None


def _cuda_runtime(folder):
    beside = [*folder.parent.glob("nvidia/*/lib/libcudart.so.*"), *folder.glob("lib/libcudart*.so*")]
    return beside or [
        *Path("/usr/local").glob("cuda*/lib64/libcudart.so.*"),
        *Path("/usr/lib").glob("*-linux-gnu/libcudart.so.*"),
    ]


def _of_python():
    """The torch folder of the python3 on PATH; found without importing it, which would take seconds"""
    python = shutil.which("python3")
    if python == sys.executable:
        spec = importlib.util.find_spec("torch")
        return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
    code = "import importlib.util as u; s = u.find_spec('torch'); print(list(s.submodule_search_locations)[0] if s and s.submodule_search_locations else '')"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip() if python else ""
    return Path(found) if found else None


def cached():
    return cache.root() / "libtorch" / VERSION


def located():
    """(folder that holds include/ and lib/, where it comes from) or None. A wrong LIBTORCH is an error, not a reason to look on."""
    named = os.environ.get("LIBTORCH")
    if named:
        reason = flaw(Path(named))
        if reason:
            raise SetupError(
                f"LIBTORCH is set, but {reason}",
                f"Point it at a LibTorch {SERIES} (the folder that holds include/ and lib/), or unset it.",
            )
        return Path(named), "LIBTORCH"
    of_python = _of_python()
    if of_python and not flaw(of_python):
        return of_python, "the torch of python3"
    if cache.flaw(cached(), RECIPE) is None:
        return cached() / "torch", "the user's cache"
    return None


def missing():
    return [] if located() else [TITLE]


def commands():
    return ["python3 tools/setup --only libtorch", f"or: export LIBTORCH=/path/to/libtorch-{SERIES}"]


def install():
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise SetupError(
            f"there is no LibTorch to download for {platform.system()} on {platform.machine()}",
            f"Install torch {SERIES} and set LIBTORCH to its folder.",
        )
    with cache.locked("libtorch"):
        if located():  # by the set-up that this one waited for
            return
        with cache.making(cached(), RECIPE, NEEDED) as (content, scratch):
            wheels = registry.download(WHEELS, scratch, "downloading LibTorch")
            registry.unpack(wheels, WANTED.match, content, "unpacking LibTorch")
            reason = flaw(content / "torch")
            if reason:
                raise SetupError(
                    f"the unpacked wheel is no LibTorch: {reason}", "Report it; the cache was left as it was."
                )
