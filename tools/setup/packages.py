"""Python packages in the user's cache, whole and pinned: a folder for PYTHONPATH.

Neither a virtual environment nor the system's Python is touched.
"""

import hashlib
import subprocess
import sys

import cache
import registry
from errors import SetupError


def recipe(requirements):
    """Changes with any pin, so that a cache made from older ones is made again"""
    return f"{requirements.name} sha256:{hashlib.sha256(requirements.read_bytes()).hexdigest()}"


def is_there(folder, requirements):
    return cache.flaw(folder, recipe(requirements)) is None


def flaw(folder, imported):
    """Why this Python cannot run the statements `imported`, or None; what else the machine has installed has no part in it."""
    code = f"import sys; sys.path.append({str(folder)!r}); {imported}"
    tried = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, errors="replace")
    return None if tried.returncode == 0 else (tried.stderr.strip().splitlines() or [f"exit {tried.returncode}"])[-1]


def install(folder, requirements, needed, imported, who, pythons):
    """`needed`: bytes of disk; `who` ("torch was") and `pythons` ("Python 3.11 and 3.12") are for the error's words."""
    with cache.locked(folder.name):
        if is_there(folder, requirements):  # made by the set-up that this one waited for
            return
        with cache.making(folder, recipe(requirements), needed) as (content, scratch):
            registry.install(requirements, content, scratch)
            reason = flaw(content, imported)
            if reason:
                raise SetupError(
                    f"{who} installed, but {sys.executable} cannot import it: {reason}",
                    f"{pythons} can. Otherwise report it; the cache was left as it was.",
                )
