"""What Graft needs of the system: compiler, build tools, libraries. Found by looking, installed with apt where that is known."""

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cache
from errors import SetupError
from progress import Progress

NAME = "system"
# codename → the Boost packages of that release that hold Boost.DLL for std::filesystem (1.81 and later)
BOOST = {"bookworm": "libboost1.81-dev", "noble": "libboost1.83-dev"}
OLDEST_BOOST = 108100  # BOOST_VERSION of 1.81.0


@dataclass(frozen=True)
class Need:
    package: str  # Debian's and Ubuntu's name; "boost" stands for BOOST's
    program: str = ""  # found on PATH, or
    header: str = ""  # found in an include folder, or
    module: str = ""  # found by this Python
    other: str = ""  # program that does as well


NEEDS = [
    Need("g++", program="g++"),
    Need("cmake", program="cmake"),
    Need("ninja-build", program="ninja"),
    Need("ccache", program="ccache"),
    Need("mold", program="mold", other="ld.lld"),
    Need("pkg-config", program="pkg-config"),
    Need("git", program="git"),
    Need("boost", header="boost/version.hpp"),
    Need("libcli11-dev", header="CLI/CLI.hpp"),
    Need("libspdlog-dev", header="spdlog/spdlog.h"),
    Need("libfmt-dev", header="fmt/format.h"),
    Need("nlohmann-json3-dev", header="nlohmann/json.hpp"),
    Need("libpcre2-dev", header="pcre2.h"),
    Need("libutf8proc-dev", header="utf8proc.h"),
    Need("libssl-dev", header="openssl/ssl.h"),
    Need("openssl", program="openssl"),  # makes the tests' certificates
    Need("libcurl4-openssl-dev", header="curl/curl.h"),
    Need("libcpp-httplib-dev", header="httplib.h"),
    Need("libgtest-dev", header="gtest/gtest.h"),
    Need("libbenchmark-dev", header="benchmark/benchmark.h"),
    Need("python3-pip", module="pip"),
]


def distribution(release=Path("/etc/os-release")):
    """(codename, the release's own name); codename "" if it is none that BOOST knows. Derivatives go by Ubuntu's codename."""
    try:
        pairs = dict(line.split("=", 1) for line in release.read_text().splitlines() if "=" in line)
    except OSError:
        return "", "this system"
    fields = {key: value.strip().strip('"') for key, value in pairs.items()}
    codename = fields.get("UBUNTU_CODENAME") or fields.get("VERSION_CODENAME", "")
    return codename if codename in BOOST else "", fields.get("PRETTY_NAME", "this system")


def include_folders():
    named = [Path(p) for p in os.environ.get("CPATH", "").split(":") if p]
    prefixes = [Path(p) / "include" for p in os.environ.get("CMAKE_PREFIX_PATH", "").split(":") if p]
    return [
        *named,
        *prefixes,
        Path("/usr/local/include"),
        Path("/usr/include"),
        *Path("/usr/include").glob("*-linux-gnu"),
    ]


def _boost_is_new(header):
    for line in header.read_text(errors="replace").splitlines():
        if line.startswith("#define BOOST_VERSION "):
            return int(line.split()[2]) >= OLDEST_BOOST
    return False


def present(need, folders):
    if need.program:
        return any(shutil.which(name) for name in (need.program, need.other) if name)
    if need.module:
        return importlib.util.find_spec(need.module) is not None
    headers = [folder / need.header for folder in folders if (folder / need.header).is_file()]
    return any(_boost_is_new(header) for header in headers) if need.package == "boost" else bool(headers)


def packages(folders=None):
    """Debian's and Ubuntu's names of what is not there"""
    codename, _ = distribution()
    folders = include_folders() if folders is None else folders
    lacking = [need.package for need in NEEDS if not present(need, folders)]
    return [BOOST.get(codename, "Boost 1.81 or later, with Boost.DLL") if name == "boost" else name for name in lacking]


def missing():
    lacking = packages()
    return [f"{len(lacking)} system package{'s' if len(lacking) > 1 else ''}: {', '.join(lacking)}"] if lacking else []


def _apt_known():
    return bool(distribution()[0]) and shutil.which("apt-get") is not None


def commands(lacking=None):
    if not _apt_known():
        return [f"# {distribution()[1]}: install what these Debian packages hold with the system's own package manager"]
    sudo = "" if os.geteuid() == 0 else "sudo "
    return [
        f"{sudo}apt-get update",
        f"{sudo}apt-get install --yes --no-install-recommends {' '.join(lacking or packages())}",
    ]


def apt(arguments, label, log, lacking):
    """Runs apt-get, showing its percentage; its words go to the log."""
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    # The percentage comes on descriptor 3, opened by a shell inside sudo, since sudo closes all above 2. It cannot come on 1:
    # apt keeps that descriptor from dpkg, whose packages' scripts then fail at their first echo.
    command = [
        *sudo,
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "sh",
        "-c",
        'exec "$@" 3>&1',
        "sh",
        "apt-get",
        "-q",
        "-o",
        "APT::Status-Fd=3",
        "-o",
        "DPkg::Lock::Timeout=600",
        "-o",
        "Dpkg::Use-Pty=0",
        *arguments,
    ]
    progress = Progress(label, 100, "%")
    with subprocess.Popen(
        command, stdin=None if sudo else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout:
            fields = line.split(":", 3)
            if fields[0] in ("dlstatus", "pmstatus") and len(fields) == 4:
                # Downloads and installation each count to 100.
                progress.at(float(fields[2]) / 2 + (50 if fields[0] == "pmstatus" else 0))
            else:
                log.write(line)
    if process.returncode != 0:
        log.flush()
        words = [
            line.strip() for line in Path(log.name).read_text(errors="replace").splitlines() if line.startswith("E:")
        ]
        raise SetupError(
            f"apt-get {arguments[0]} failed: {' '.join(words) or f'exit {process.returncode}'} (all of its output: {log.name})",
            "Mend what it names, or install the packages by hand:\n    " + "\n    ".join(commands(lacking)),
        )
    progress.done()


def install():
    codename, name = distribution()
    if not _apt_known():
        raise SetupError(
            f"{name} is neither Debian 12 nor Ubuntu 24.04, so these packages are yours to install: {', '.join(packages())}",
            "The names are Debian's; install what holds the same, then run this again.",
        )
    if os.geteuid() != 0 and not shutil.which("sudo"):
        raise SetupError(
            "system packages are missing, and there is neither root nor sudo here",
            "As root:\n    " + "\n    ".join(commands()),
        )
    with cache.locked("system"):
        lacking = packages()
        if not lacking:  # installed by the set-up that this one waited for
            return
        with open(cache.root() / "apt.log", "w") as log:
            apt(["update"], "reading the package lists", log, lacking)
            apt(
                ["install", "--yes", "--no-install-recommends", *lacking],
                f"installing {len(lacking)} packages",
                log,
                lacking,
            )
    importlib.invalidate_caches()
    still = packages()
    if still:
        raise SetupError(
            f"apt-get installed everything, yet {', '.join(still)} cannot be found on {name}",
            f"Look whether another installation hides it (PATH={os.environ.get('PATH', '')}).",
        )
