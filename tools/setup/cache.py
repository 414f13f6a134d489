"""The user's cache: folders that are there whole or not at all, whoever else is at work or gets killed.

A folder is made beside its place, stamped with the name and size of each of its files, and renamed. While one process
makes it, a lock keeps others waiting; the kernel drops the lock of a process that dies, and the next one clears its remains.
"""

import contextlib
import fcntl
import json
import os
import shutil
from pathlib import Path

from errors import SetupError

STAMP = ".graft-stamp.json"


def root():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "graft"


@contextlib.contextmanager
def locked(name):
    """One process at a time per name; says so when it has to wait."""
    folder = root() / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / f"{name}.lock", "w")
    except OSError as error:
        raise SetupError(
            f"the cache {root()} cannot be written: {error.strerror}",
            "Make it writable, or set XDG_CACHE_HOME to a folder that is.",
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"  another set-up is at work on {name}; waiting for it", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def flaw(folder, recipe):
    """Why the folder is not what `recipe` made, or None. Looks at names and sizes only, so it takes milliseconds."""
    try:
        stamp = json.loads((folder / STAMP).read_text())
        if stamp["recipe"] != recipe:
            return f"was made by {stamp['recipe']}, not by {recipe}"
        for name, size in stamp["files"].items():
            if (folder / name).stat().st_size != size:
                return f"{name} has another size than when it was made"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing" if folder.exists() else "is not there"
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        return f"its stamp cannot be read ({error})"
    return None


def stamp(folder, recipe):
    files = {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
    (folder / STAMP).write_text(json.dumps({"recipe": recipe, "files": files}) + "\n")


def demand_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SetupError(
            f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed",
            "Free some space, or set XDG_CACHE_HOME to a folder on a larger disk.",
        )


@contextlib.contextmanager
def making(target, recipe, needed):
    """Yields an empty folder for target's content and a scratch folder; on success target is there, else as before.

    To be called with the lock held. needed: bytes of free space, at the highest tide.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.with_name(f".{target.name}.partial")
    shutil.rmtree(work, ignore_errors=True)  # of a process that was killed: the lock says that nobody uses it
    demand_space(target.parent, needed)
    content, scratch, old = work / "content", work / "scratch", work / "old"
    content.mkdir(parents=True)
    scratch.mkdir()
    try:
        yield content, scratch
        stamp(content, recipe)
        if target.exists():
            target.rename(old)
        content.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
