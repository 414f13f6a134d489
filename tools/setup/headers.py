"""Headers that CUDA variants of kernels are compiled from: the folder that a variable names if it is set, else out of PyPI's
wheel in the user's cache.

Part of a set-up where there is a CUDA toolkit. plugins/cmake/find_headers.cmake looks in the same places.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import cache
import registry
from errors import SetupError


def of_use():
    """Whether there is an nvcc, where plugins/cuda.cmake looks for it; without one nothing includes these headers"""
    folders = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    places = [Path(folder) / "bin" / "nvcc" for folder in folders if folder]
    return bool(os.environ.get("CUDACXX") or shutil.which("nvcc") or any(place.is_file() for place in places))


@dataclass
class Headers:
    NAME: str  # of this part, and of its folder in the cache
    library: str  # with its version
    kernels: str  # that want them
    wheel: registry.Wheel
    wanted: re.Pattern  # of the wheel's files
    unpacked: int  # bytes
    include: str  # folder of the wheel's that the header is in
    header: str
    variable: str  # of the environment: a folder to use instead

    @property
    def TITLE(self):
        return (
            f"{self.library}'s headers for {self.kernels} "
            f"({self.wheel.size / 1e6:.0f} MB to download, {self.unpacked / 1e6:.0f} MB unpacked, in the user's cache)"
        )

    @property
    def recipe(self):
        return f"PyPI's {self.wheel.name} {self.wheel.version}"

    def folder(self):
        return cache.root() / self.NAME / self.wheel.version

    def is_there(self):
        """A folder that is named and wrong is an error, not a reason to look on."""
        named = os.environ.get(self.variable)
        if not named:
            return cache.flaw(self.folder(), self.recipe) is None
        if not (Path(named) / self.header).is_file():
            raise SetupError(
                f"{self.variable} is set, but {named} has no {self.header}",
                f"Point it at the include folder of {self.library}, or unset it.",
            )
        return True

    def missing(self):
        return [] if self.is_there() else [self.TITLE]

    def commands(self):
        return [f"python3 tools/setup --only {self.NAME}", f"or: export {self.variable}=/path/to/include"]

    def install(self):
        with cache.locked(self.NAME):
            if self.is_there():  # made by the set-up that this one waited for
                return
            needed = 2 * self.wheel.size + self.unpacked  # pip moves the wheel by copying it
            with cache.making(self.folder(), self.recipe, needed) as (content, scratch):
                wheel = registry.download([self.wheel], scratch, f"downloading {self.wheel.name}")
                registry.unpack(wheel, self.wanted.match, content, "unpacking its headers")
                if not (content / self.include / self.header).is_file():
                    raise SetupError(f"the wheel has no {self.header}", "Report it; the cache was left as it was.")


FLASHINFER = Headers(
    NAME="flashinfer",
    library="FlashInfer 0.7.2",
    kernels="attention on CUDA",
    wheel=registry.Wheel(
        "flashinfer-python",
        "0.7.2.post1",
        "bfdc18b9e1e4d8d0730fe4343dc0e284cd0c160086de80f99888bc4867922d49",
        62_052_965,
        "any",
    ),
    # Its CCCL (CUDA's C++ headers) is newer than the toolkit's, which lacks what it uses.
    wanted=re.compile(
        r"flashinfer/data/(include|cccl/(libcudacxx/include|cub/cub|thrust/thrust))/|flashinfer_python-[^/]*/licenses/"
    ),
    unpacked=32_000_000,
    include="flashinfer/data/include",
    header="flashinfer/attention/prefill.cuh",
    variable="FLASHINFER_INCLUDE",
)

CUDNN_FRONTEND = Headers(
    NAME="cudnn_frontend",
    library="cuDNN frontend 1.32",
    kernels="attention's gradients on CUDA",
    wheel=registry.Wheel(
        "nvidia-cudnn-frontend",
        "1.32.0",
        "8b354a8e550c083eb247f1eb39a7d69a4a269075f5a01e4fcbd2531680b17239",
        11_619_860,
        "manylinux_2_28_x86_64",
    ),
    wanted=re.compile(r"include/|nvidia_cudnn_frontend-[^/]*/licenses/"),
    unpacked=3_000_000,
    include="include",
    header="cudnn_frontend.h",
    variable="CUDNN_FRONTEND_INCLUDE",
)

ALL = [FLASHINFER, CUDNN_FRONTEND]
