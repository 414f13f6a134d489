"""What tools/fuzz/run needs besides the rest: Clang with libFuzzer and the sanitizers' runtimes. Set up when it is asked for."""

import importlib
import os
import shutil
import subprocess
from pathlib import Path

import cache
import system
from errors import SetupError

NAME = "fuzz"
# codename → the packages of that release; libFuzzer comes with the runtimes of the very Clang
PACKAGES = {"bookworm": ["clang", "libclang-rt-14-dev"], "noble": ["clang", "libclang-rt-18-dev"]}


def _has_libfuzzer():
    if not shutil.which("clang++"):
        return False
    asked = subprocess.run(["clang++", "-print-runtime-dir"], capture_output=True, text=True)
    return asked.returncode == 0 and any(Path(asked.stdout.strip()).glob("libclang_rt.fuzzer*"))


def packages():
    return PACKAGES.get(system.distribution()[0], ["clang", "libclang-rt-dev"])


def missing():
    return [] if _has_libfuzzer() else [f"Clang with libFuzzer: {', '.join(packages())}"]


def commands():
    return system.commands(packages())


def install():
    name = system.distribution()[1]
    if not system.distribution()[0] or not shutil.which("apt-get"):
        raise SetupError(
            f"{name} is neither Debian 12 nor Ubuntu 24.04, so Clang with libFuzzer is yours to install",
            "clang++ must be on PATH, with its compiler-rt libraries.",
        )
    if os.geteuid() != 0 and not shutil.which("sudo"):
        raise SetupError(
            "Clang is missing, and there is neither root nor sudo here", "As root:\n    " + "\n    ".join(commands())
        )
    with cache.locked("system"):
        if _has_libfuzzer():  # installed by the set-up that this one waited for
            return
        with open(cache.root() / "apt.log", "w") as log:
            system.apt(["update"], "reading the package lists", log, packages())
            wanted = ["install", "--yes", "--no-install-recommends", *packages()]
            system.apt(wanted, f"installing {len(packages())} packages", log, packages())
    importlib.invalidate_caches()
    if not _has_libfuzzer():
        raise SetupError(
            f"apt-get installed {', '.join(packages())}, yet clang++ has no libFuzzer", "Look which clang++ is on PATH."
        )
