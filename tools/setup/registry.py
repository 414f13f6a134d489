"""PyPI through pip: wheels pinned by hash, downloaded with progress and unpacked without being installed."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass

from errors import SetupError
from progress import Progress

NETWORK = "Check the network and the proxy (https_proxy), or name another index (PIP_INDEX_URL), and run this again."


@dataclass(frozen=True)
class Wheel:
    name: str
    version: str
    sha256: str
    size: int  # bytes, for the progress
    platform: str  # as in its file name; "any" if it runs anywhere


def _pip(arguments, scratch, progress=None):
    """Runs pip; its scratch folder's growth is the progress of a download."""
    if importlib.util.find_spec("pip") is None:
        raise SetupError(f"{sys.executable} has no pip", "Install it: apt-get install python3-pip")
    temporary = scratch / "pip"
    temporary.mkdir(exist_ok=True)
    # No cache: it would keep a second copy of hundreds of megabytes that are unpacked once.
    command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "--no-cache-dir", *arguments]
    log = scratch / "pip.log"
    with open(log, "w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "TMPDIR": str(temporary)}
        )
        try:
            while True:
                try:
                    process.wait(timeout=0.2)
                    break
                except subprocess.TimeoutExpired:
                    if progress:
                        progress.at(_size(scratch))
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode != 0:
        lines = [line.strip() for line in log.read_text().splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-3:]
        raise SetupError(f"pip failed: {' '.join(errors) or f'exit {process.returncode}'}", NETWORK)


def _size(folder):
    """Bytes of the files below a folder in which pip makes, renames and removes files and folders meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):  # passes over folders that are gone, as rglob does not
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                pass
    return total


def download(wheels, scratch, label):
    """The wheels' files, in their order, in scratch."""
    folder, requirements = scratch / "wheels", scratch / "requirements.txt"
    folder.mkdir()
    requirements.write_text("".join(f"{w.name}=={w.version} --hash=sha256:{w.sha256}\n" for w in wheels))
    platforms = sorted({w.platform for w in wheels})
    progress = Progress(label, sum(w.size for w in wheels))
    _pip(
        [
            "download",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
            "--python-version",
            "3.12",
            "--implementation",
            "cp",
            *(f"--platform={platform}" for platform in platforms),
            "-d",
            str(folder),
            "-r",
            str(requirements),
        ],
        scratch,
        progress,
    )
    progress.done()
    found = []
    for wheel in wheels:
        prefix = f"{wheel.name.replace('-', '_')}-{wheel.version}-"
        found.append(next(path for path in folder.iterdir() if path.name.startswith(prefix)))
    return found


def install(requirements, folder, scratch):
    """Packages into a folder for PYTHONPATH, so that neither a virtual environment nor the system's Python is touched."""
    _pip(
        [
            "install",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
            "--target",
            str(folder),
            "-r",
            str(requirements),
        ],
        scratch,
    )


def unpack(wheels, wanted, folder, label):
    """The files of the wheels (paths) whose names `wanted` accepts."""
    archives = [zipfile.ZipFile(path) for path in wheels]
    members = [
        (archive, member)
        for archive in archives
        for member in archive.infolist()
        if not member.is_dir() and wanted(member.filename)
    ]
    progress, done = Progress(label, sum(member.file_size for _, member in members)), 0
    for archive, member in members:
        target = folder / member.filename
        if ".." in target.parts or target.is_absolute() and not target.is_relative_to(folder):
            raise SetupError(
                f"a wheel holds the path {member.filename}, which leaves its folder", "Report it; nothing was unpacked."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, open(target, "wb") as out:
            while chunk := source.read(8 << 20):
                out.write(chunk)
                done += len(chunk)
                progress.at(done)
    progress.done()
    for archive in archives:
        archive.close()
