"""What the set-up's tests share: its modules on the path, an empty cache, and wheels small enough to make on the spot."""

import hashlib
import os
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SETUP = HERE.parent.parent / "tools" / "setup"
sys.path.insert(0, str(SETUP))

import registry  # noqa: E402  (found through the line above)


class WithCache(unittest.TestCase):
    """Each test has its own empty cache, no LIBTORCH and no FLASHINFER_INCLUDE."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        saved = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(saved)))
        os.environ["XDG_CACHE_HOME"] = str(self.folder / "cache")
        os.environ.pop("LIBTORCH", None)
        os.environ.pop("FLASHINFER_INCLUDE", None)

    def leftovers(self):
        return [str(path) for path in self.folder.rglob("*.partial*")]


def version_header(version):
    return "".join(
        f"#define TORCH_VERSION_{name} {number}\n"
        for name, number in zip(("MAJOR", "MINOR", "PATCH"), version.split("."))
    )


def libtorch_files(version="2.11.0"):
    return {
        "include/torch/headeronly/version.h": version_header(version),
        "include/torch/csrc/api/include/torch/torch.h": "// torch\n",
        "lib/libtorch_cpu.so": "cpu" * 1000,
        "lib/libc10.so": "c10" * 100,
    }


def make_libtorch(folder, version="2.11.0"):
    for name, text in libtorch_files(version).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def make_wheel(folder, name, version, files):
    """A wheel that pip accepts; returns its description with the true hash.

    Processes of one test make the same wheels in one folder while others read them: the bytes hold no time of day, and a
    file appears whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    path, info = folder / f"{module}-{version}-py3-none-any.whl", f"{module}-{version}.dist-info"
    begun = path.with_suffix(f".{os.getpid()}")
    members = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(begun, "w") as archive:
        for member, text in members.items():
            archive.writestr(zipfile.ZipInfo(member), text)  # dated 1980
    begun.replace(path)
    return registry.Wheel(name, version, hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, "any")


def small_wheels(folder):
    """Stand-ins for the three wheels of libtorch.WHEELS, in a folder that pip is told to look in, and nowhere else"""
    wheels = [
        make_wheel(
            folder,
            "torch",
            "2.11.0",
            {**{f"torch/{name}": text for name, text in libtorch_files().items()}, "torch/nn/modules.py": "not wanted"},
        ),
        make_wheel(
            folder,
            "nvidia-cuda-runtime",
            "13.0.96",
            {"nvidia/cu13/lib/libcudart.so.13": "cudart", "nvidia/cu13/include/cuda.h": "not wanted"},
        ),
        make_wheel(folder, "nvidia-cuda-cupti", "13.0.85", {"nvidia/cu13/lib/libcupti.so.13": "cupti"}),
    ]
    os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(folder))
    return wheels
