"""What the tests with Python's clients share: a case with a served hub, an empty cache, and what must hold in it."""

import hashlib
import os
import re
import sys
import tempfile
import unittest
from pathlib import Path

from hub_folder import etag, hub_of_this_process
from programs import PEERS, PROGRAM, Graft, Python, Recorder, Server, environment

TOKEN = "hf_interop"


def setUpModule():
    """To be imported by every test module: unittest calls it before the module's first test."""
    if not (PEERS / "huggingface_hub").is_dir():
        raise unittest.SkipTest(
            f"Python's clients of the Hub are not in {PEERS}; to install them: python3 tools/setup --only peers"
        )
    if not PROGRAM.exists():
        raise AssertionError(f"{PROGRAM} is not there: build it (tools/test does), or set GRAFT_PROGRAM")


class Case(unittest.TestCase):
    """A class has one `graft serve`, each test an empty HF_HOME. `kind` is for_models_and_kernels' to give."""

    kind = "model"
    serve = ()  # further options of `graft serve`

    @classmethod
    def setUpClass(cls):
        cls.hub = hub_of_this_process()
        cls.server = Server(cls.hub.folder, cls.serve)
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        home = tempfile.TemporaryDirectory(prefix="graft-interop-")
        self.addCleanup(home.cleanup)
        self.home = Path(home.name)
        self.cache = self.home / "hub"
        self.endpoint = self.server.endpoint
        self.repo = self.hub.repos[self.kind, "interop/public"]

    def record(self):
        """From now on, each request of this test's clients is written down; its Recorder."""
        recorder = Recorder(self.endpoint)
        self.addCleanup(recorder.stop)
        self.endpoint = recorder.endpoint
        return recorder

    def environment(self, more):
        named = {"HF_HOME": str(self.home), "HF_ENDPOINT": self.endpoint}
        quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        return environment(**{**named, **quiet, **more})

    # Graft

    def start_graft(self, revision, words, variables=None, repo=None):
        reference = f"{(repo or self.repo).name}@{revision}"
        return Graft([reference, *words, "--repo-type", self.kind], self.environment(variables or {}))

    def graft(self, revision, *words, repo=None, **variables):
        """What `graft download` reports; it must succeed."""
        code, said = self.start_graft(revision, words, variables, repo).finished()
        self.assertEqual(code, 0, said)
        return said

    def graft_fails(self, revision, *words, repo=None, **variables):
        """The error of a `graft download` that must fail."""
        code, said = self.start_graft(revision, words, variables, repo).finished()
        self.assertEqual(code, 1, said)
        return said["error"]

    # Python

    def python_calls(self, calls, **variables):
        python = Python(self.environment(variables))
        python.start(calls)
        return python.answers()

    def kernels(self, name, arguments, **variables):
        """The value of one call of HF kernels (peer_kernels.py), which must succeed."""
        python = Python(self.environment(variables), "peer_kernels.py")
        python.start([[name, arguments]])
        (answer,) = python.answers()
        self.assertNotIn("error", answer, answer.get("message"))
        return answer["value"]

    def python(self, name, arguments=None, **variables):
        """The value of one call, which must succeed."""
        (answer,) = self.python_calls([[name, arguments or {}]], **variables)
        self.assertNotIn("error", answer, answer.get("message"))
        return answer["value"]

    def python_fails(self, name, arguments, **variables):
        """The classes of the exception of a call that must fail: its own and its bases."""
        (answer,) = self.python_calls([[name, arguments]], **variables)
        self.assertIn("error", answer)
        return answer["error"]

    def of(self, repo=None, **more):
        """The arguments that name a repo"""
        repo = repo or self.repo
        return {"repo_id": repo.name, "repo_type": self.kind, **more}

    # What must hold

    def assert_snapshot(self, revision, folder, paths=None, repo=None):
        """The folder holds these files (all of them if not given) of this revision and nothing else, byte for byte."""
        files = (repo or self.repo).at(revision)
        expected = {path: files[path] for path in (files if paths is None else paths)}
        folder = Path(folder)
        found = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
        self.assertEqual(found, set(expected))
        for path, content in expected.items():
            self.assertEqual(
                hashlib.sha256((folder / path).read_bytes()).digest(), hashlib.sha256(content).digest(), path
            )

    def assert_linked(self, revision, repo=None):
        """Each file of the snapshot is a relative link to the blob that is named by its etag."""
        repo = repo or self.repo
        files, snapshot = repo.at(revision), repo.snapshot(self.cache, revision)
        for path, content in files.items():
            link = snapshot / path
            self.assertTrue(link.is_symlink(), path)
            target = os.readlink(link)
            self.assertFalse(os.path.isabs(target), target)
            blob = Path(os.path.normpath(link.parent / target))
            self.assertEqual(blob, repo.folder(self.cache) / "blobs" / etag(path, content), path)

    def assert_whole(self):
        """Nothing half is left in the cache, and Python's scan of it has nothing to warn of; returns the scan."""
        left = [str(path) for path in self.cache.rglob("*") if re.search(r"incomplete|\.tmp$|\.partial", path.name)]
        self.assertEqual(left, [])
        scan = self.python("scan", HF_HUB_OFFLINE="1")
        self.assertEqual((scan["warnings"], scan["incomplete"]), ([], []))
        return scan


def for_models_and_kernels(cases):
    """The class decorator of a module's cases: they run once for model and once for kernel repos."""
    module = sys.modules[cases.__module__]
    for kind in ("model", "kernel"):
        name = f"{cases.__name__}_{kind}s"
        setattr(module, name, type(name, (cases, Case), {"kind": kind, "__module__": cases.__module__}))
    return cases
