"""The machine and the build that a run's figures are of."""

import os
import platform
import re
import subprocess
from pathlib import Path

VECTORS = (("amx_bf16", "AMX"), ("avx512bw", "AVX-512"), ("avx2", "AVX2"), ("asimd", "NEON"))


def first(pattern, text, otherwise="unknown"):
    found = re.search(pattern, text, re.MULTILINE)
    return found[1].strip() if found else otherwise


def output(*command, where=None):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=where).stdout.strip()
    except OSError:
        return ""


def describe(source, build, vectors=""):
    """`vectors`: what the run was held to, where it was."""
    cpu = Path("/proc/cpuinfo").read_text()
    flags = first(r"^(?:flags|Features)\s*:(.*)$", cpu, "").split()
    cache = (build / "CMakeCache.txt").read_text() if (build / "CMakeCache.txt").exists() else ""
    compiler = output(first(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", cache, "c++"), "--version").partition("\n")[0]
    changed = output("git", "status", "--porcelain", "--untracked-files=no", where=source)
    return {
        "processor": first(r"^model name\s*:(.*)$", cpu, platform.machine()),
        "vectors": f"{vectors} alone" if vectors else next((name for flag, name in VECTORS if flag in flags), "no vectors known"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": int(first(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), "0")) / (1 << 20),
        "system": first(r'^PRETTY_NAME="?([^"\n]*)', Path("/etc/os-release").read_text()),
        "compiler": compiler or "compiler unknown",
        "commit": (output("git", "rev-parse", "--short", "HEAD", where=source) or "unknown") + ("+changes" if changed else ""),
    }


def busy_seconds():
    """What all processors worked since the system's start, without idling and waiting for disks."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(ticks[:8]) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
