"""Lock files that Graft writes, read and used by HF kernels, and the other way round."""

import json
import tempfile
from pathlib import Path

from hub_folder import _commit
from programs import Server, graft
from support import Case, setUpModule  # noqa: F401  (unittest calls setUpModule)

OFFLINE = {"HF_HUB_OFFLINE": "1"}


def metadata(name, depends=()):
    """As kernel-builder writes it; HF kernels reads it strictly"""
    return {
        "id": f"_{name}",
        "name": name,
        "version": 1,
        "license": "Apache-2.0",
        "python-depends": [],
        "kernel-depends": [{"repo-id": repo, "version": version} for repo, version in depends],
        "backend": {"type": "cpu"},
    }


def make_kernel(hub, repo, refs, depends=()):
    """A kernel in Python alone, which HF kernels loads without torch, at each of these refs"""
    name = repo.split("/")[1]
    for ref in refs:
        commit = _commit(f"{repo} {ref}")
        here = hub / "kernels" / repo
        variant = here / "commits" / commit / "build" / "torch-universal"
        variant.mkdir(parents=True)
        (variant / "__init__.py").write_text(f'NAME = "{repo} {ref}"\n')
        (variant / "metadata.json").write_text(json.dumps(metadata(name, depends)))
        native = here / "commits" / commit / "build" / "graft1-cpu-x86_64-linux"
        native.mkdir()
        (native / f"{name}.so").write_bytes(f"{repo} {ref}".encode())
        (here / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (here / "refs" / ref).write_text(commit + "\n")


class LockFiles(Case):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="graft-locks-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        make_kernel(cls.folder, "locks/top", ["heads/main", "heads/v1", "heads/v2", "tags/v1.5.0"], [("locks/base", 3)])
        make_kernel(cls.folder, "locks/base", ["heads/v3", "heads/v4"])
        cls.server = Server(cls.folder)
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        home = tempfile.TemporaryDirectory(prefix="graft-interop-")
        self.addCleanup(home.cleanup)
        self.home = Path(home.name)
        self.endpoint = self.server.endpoint
        self.project = self.home / "project"
        self.project.mkdir()

    def run_graft(self, *words, expect=0, **variables):
        code, said = graft(words, self.environment(variables), self.project)
        self.assertEqual(code, expect, said)
        return said

    def commit(self, repo, ref):
        return _commit(f"{repo} {ref}")

    def test_hf_kernels_reads_what_graft_locks(self):
        self.run_graft("lock", "locks/top@2", "locks/top@v1.5.0", "locks/top@main", "--allow-all-kernels")
        file = str(self.project / "kernels.lock")
        expected = [
            ["locks/base", 3, self.commit("locks/base", "heads/v3")],
            ["locks/top", 2, self.commit("locks/top", "heads/v2")],
            ["locks/top", "main", self.commit("locks/top", "heads/main")],
            ["locks/top", "v1.5.0", self.commit("locks/top", "tags/v1.5.0")],
        ]
        self.assertEqual(self.kernels("read_lock", {"file": file}), sorted(expected, key=str))

    def test_ranges_are_locked_as_what_they_came_to(self):
        said = self.run_graft("lock", "locks/top@>=1.0,<2.0", "--allow-all-kernels")
        self.assertEqual(said["kernels"][0]["revision"], "v1.5.0")
        commit = self.kernels("locked_commit", {"repo": "locks/top", "file": str(self.project / "kernels.lock")})
        self.assertEqual(commit, self.commit("locks/top", "tags/v1.5.0"))

    def test_hf_kernels_downloads_and_loads_by_grafts_lock(self):
        self.run_graft("lock", "locks/top@2", "--allow-all-kernels")
        file = str(self.project / "kernels.lock")
        self.kernels("download", {"file": file})
        self.assertEqual(self.kernels("load", {"repo": "locks/top", "file": file}, **OFFLINE), "locks/top heads/v2")

    def test_hf_kernels_loads_offline_what_graft_downloaded_by_its_lock(self):
        self.run_graft("lock", "locks/top@2", "--allow-all-kernels")
        said = self.run_graft("download", "--locked", "--all-variants")
        self.assertEqual([kernel["repo"] for kernel in said["kernels"]], ["locks/top", "locks/base"])
        file = str(self.project / "kernels.lock")
        self.assertEqual(self.kernels("load", {"repo": "locks/top", "file": file}, **OFFLINE), "locks/top heads/v2")
        self.assertEqual(self.kernels("load", {"repo": "locks/base", "file": file}, **OFFLINE), "locks/base heads/v3")

    def test_graft_takes_the_lock_that_hf_kernels_wrote(self):
        self.run_graft("lock", "locks/top@1", "--allow-all-kernels")
        (self.project / "graft.lock").unlink()
        said = self.run_graft("lock", "--allow-all-kernels")
        self.assertEqual(
            [(kernel["repo"], kernel["commit"]) for kernel in said["kernels"]],
            [("locks/top", self.commit("locks/top", "heads/v1")), ("locks/base", self.commit("locks/base", "heads/v3"))],
        )
        self.run_graft("lock", "--check", "--allow-all-kernels")

    def test_a_check_finds_a_kernels_lock_that_says_something_else(self):
        self.run_graft("lock", "locks/base@3", "--allow-all-kernels")
        file = self.project / "kernels.lock"
        file.write_text(file.read_text().replace(self.commit("locks/base", "heads/v3"), self.commit("locks/base", "heads/v4")))
        said = self.run_graft("lock", "--check", "--allow-all-kernels", expect=1)
        self.assertFalse(said["up_to_date"])
