"""The hub's folder that the tests serve, and what a client must find in it."""

import atexit
import functools
import hashlib
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Repo:
    """One of the hub's repos, as it stands in the folder: what a client must find."""

    kind: str  # "model" or "kernel"
    name: str
    refs: dict = field(default_factory=dict)  # "main", "v1.0.0" → commit
    files: dict = field(default_factory=dict)  # commit → {path: bytes}

    def at(self, revision):
        return self.files[self.refs.get(revision, revision)]

    def folder(self, cache):
        return Path(cache) / f"{self.kind}s--{self.name.replace('/', '--')}"

    def snapshot(self, cache, revision):
        return self.folder(cache) / "snapshots" / self.refs.get(revision, revision)


def is_lfs(path, content):
    return path.endswith((".so", ".safetensors")) or len(content) >= 10_000_000


def git_blob(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def etag(path, content):
    return hashlib.sha256(content).hexdigest() if is_lfs(path, content) else git_blob(content)


def _commit(text):
    return hashlib.sha1(text.encode()).hexdigest()


def _files(name):
    """A repo's files: git blobs and LFS files, small and empty, twice the same, and names that need quoting"""
    draw = random.Random(name)
    shared = draw.randbytes(300_000)
    return {
        "README.md": f"# {name}\n".encode(),
        "config.json": b'{"model_type": "none"}\n',
        "empty.txt": b"",
        "model.safetensors": draw.randbytes(400_000),
        "build/graft1-cpu-x86_64-linux/kernel.so": shared,
        "build/graft1-cpu-x86_64-linux/metadata.json": b'{"name": "kernel"}\n',
        "build/graft1-cpu-x86_64-linux-x86_64_v3/kernel.so": shared,
        "build/graft1-cpu-x86_64-linux-x86_64_v3/metadata.json": b'{"name": "kernel", "level": 3}\n',
        "names/with space & plus+ 100%.txt": b"quoting\n",
        "names/ünïcode 核.txt": "核\n".encode(),
        "names/question?#hash.txt": b"?#\n",
        "names/deep/er/and/deep/er.txt": draw.randbytes(2_000),
    }


class HubFolder:
    """A hub's folder with a public, a private and a gated repo of each kind. Not written to once it is made.

    The public ones hold a file that is large enough to be an LFS file whatever its name.
    """

    def __init__(self, folder):
        self.folder = folder
        self.repos = {}
        for kind in ("model", "kernel"):
            for name in ("interop/public", "interop/private", "interop/gated"):
                self.repos[kind, name] = self._make(kind, name)

    def _make(self, kind, name):
        repo, here = Repo(kind, name), self.folder / f"{kind}s" / name
        main = _files(f"{kind} {name}")
        if name == "interop/public":
            main["large.bin"] = random.Random(f"large {kind}").randbytes(10_000_000)
        older = {path: content for path, content in main.items() if not path.startswith("names/")}
        older["README.md"] = b"# The first version\n"
        older["older.txt"] = b"only in v1.0.0\n"
        for ref, files in (("heads/main", main), ("tags/v1.0.0", older)):
            commit = _commit(f"{kind} {name} {ref}")
            repo.refs[ref.split("/")[1]] = commit
            repo.files[commit] = files
            (here / "refs" / ref).parent.mkdir(parents=True)
            (here / "refs" / ref).write_text(f"{commit}\n")
            for path, content in files.items():
                target = here / "commits" / commit / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        return repo


@functools.cache
def hub_of_this_process():
    """One for all its cases: making it takes longer than most of them"""
    folder = tempfile.TemporaryDirectory(prefix="graft-interop-hub-")
    atexit.register(folder.cleanup)
    return HubFolder(Path(folder.name))
