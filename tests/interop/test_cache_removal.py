"""graft ls, rm and gc in a cache that Python's huggingface_hub filled, and beside its downloads."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
import unittest
from pathlib import Path

from hub_folder import etag
from programs import PATIENCE, PROGRAM, Python
from support import for_models_and_kernels, setUpModule  # noqa: F401  (unittest calls setUpModule)

DAY = 86_400  # seconds


@for_models_and_kernels
class CacheRemoval:
    def command(self, name, *words, exits=0):
        """What `graft NAME … --json` prints"""
        done = subprocess.run(
            [str(PROGRAM), name, *map(str, words), "--repo-type", self.kind, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            env=self.environment({"GRAFT_STATE_DIR": str(self.home / "state"), "GRAFT_HUB": str(self.home)}),
        )
        self.assertEqual(done.returncode, exits, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def remove(self, *words, exits=0):
        return self.command("rm", *words, "--yes", exits=exits)

    def python_downloads(self, *revisions):
        for answer in self.python_calls([["snapshot_download", self.of(revision=each)] for each in revisions]):
            self.assertNotIn("error", answer, answer.get("message"))

    def scanned(self):
        """What Python's scan says of the repo, after it had nothing to warn of; None if it does not see it"""
        return self.assert_whole()["repos"].get(f"{self.kind}/{self.repo.name}")

    def listed(self):
        """The repo in `graft ls`; None if it is not there"""
        cached = {repo["repo"]: repo for repo in self.command("ls")["cached"]}
        return cached.get(self.repo.name)

    def test_ls_sees_what_pythons_scan_sees(self):
        self.python_downloads("main", "v1.0.0")
        scanned, listed = self.scanned(), self.listed()
        self.assertEqual(
            {commit["commit"]: (commit["refs"], commit["bytes"]) for commit in listed["commits"]},
            {commit: (seen["refs"], seen["size"]) for commit, seen in scanned.items()},
        )
        self.assertEqual(listed["bytes"], self.python("scan")["size"])
        self.assertEqual(listed["leftovers"], 0)

    def test_rm_leaves_what_pythons_delete_leaves(self):
        self.python_downloads("main", "v1.0.0")
        copy = self.home / "copy"
        shutil.copytree(self.cache, copy, symlinks=True)
        older = self.repo.refs["v1.0.0"]
        freed = self.remove(f"{self.repo.name}@v1.0.0")["bytes_freed"]
        self.assertEqual(freed, self.python("delete", {"commits": [older]}, HF_HUB_CACHE=str(copy)))

        def kept(cache):
            folder = self.repo.folder(cache)
            return {
                str(path.relative_to(folder))
                for part in ("blobs", "refs", "snapshots")
                for path in (folder / part).rglob("*")
            }

        self.assertEqual(kept(self.cache), kept(copy))
        self.assertEqual(list(self.scanned()), [self.repo.refs["main"]])
        self.assert_snapshot("main", self.repo.snapshot(self.cache, "main"))

    def test_rm_of_the_last_commit_leaves_no_trace_of_the_repo(self):
        self.python_downloads("main", "v1.0.0")
        self.remove(f"{self.repo.name}@{self.repo.refs['main'][:8]}")
        self.remove(self.repo.name)
        self.assertIsNone(self.scanned())
        self.assertFalse(self.repo.folder(self.cache).exists())
        self.python_downloads("main")
        self.assert_snapshot("main", self.repo.snapshot(self.cache, "main"))

    def test_gc_takes_the_commit_that_was_not_used_for_longest(self):
        self.python_downloads("main", "v1.0.0")
        own = self.repo.snapshot(self.cache, "v1.0.0") / "older.txt"
        for folder, _, files in os.walk(self.repo.folder(self.cache)):
            for path in [Path(folder), *(Path(folder) / file for file in files)]:
                os.utime(path, (time.time() - 3 * DAY,) * 2, follow_symlinks=False)
        os.utime(own.resolve())  # read just now
        size = self.listed()["bytes"]
        planned = self.command("gc", "--max-size", f"{size - 1}B", "--dry-run")
        done = self.command("gc", "--max-size", f"{size - 1}B")
        self.assertEqual([commit["refs"] for commit in done["removed"]], [["main"]])
        self.assertEqual(planned["bytes_freed"], done["bytes_freed"])
        self.assertEqual(list(self.scanned()), [self.repo.refs["v1.0.0"]])
        self.assertEqual(done["bytes"], self.python("scan")["size"])

    def test_gc_clears_away_what_pythons_broken_downloads_left(self):
        self.python_downloads("main")
        for age, name in ((2 * DAY, "1" * 64), (60, "2" * 64)):
            half = self.repo.folder(self.cache) / "blobs" / f"{name}.1a2b3c4d.incomplete"
            half.write_bytes(b"half")
            os.utime(half, (time.time() - age,) * 2)
        self.assertEqual(self.command("gc")["leftovers"], 1)
        (left,) = self.python("scan")["incomplete"]
        self.assertIn("2" * 64, left)
        os.unlink(left)
        self.assert_snapshot("main", self.repo.snapshot(self.cache, "main"))

    def test_a_shared_blob_goes_with_the_last_repo_that_has_it(self):
        self.python_downloads("main")
        content, xet_hash = self.repo.at("main")["model.safetensors"], "c" * 64
        blob = self.repo.folder(self.cache) / "blobs" / etag("model.safetensors", content)
        other = self.cache / f"{self.kind}s--someone--else"
        shutil.copytree(self.repo.folder(self.cache), other, symlinks=True)
        for each in (blob, other / "blobs" / blob.name):
            shared = {"blob": str(each), "xet_hash": xet_hash, "cache_dir": str(self.cache)}
            store = self.python("share", shared)
        self.assertTrue(Path(store).is_file())
        size = self.python("scan")["size"]
        self.assertEqual(self.command("ls")["bytes"], size)

        freed = self.remove("someone/else")["bytes_freed"]
        self.assertTrue(Path(store).is_file())
        self.assert_snapshot("main", self.repo.snapshot(self.cache, "main"))
        self.assertEqual(self.assert_whole()["size"], size - freed)
        self.remove(self.repo.name)
        self.assertFalse(Path(store).exists())
        self.assertEqual(self.assert_whole()["size"], 0)

    def test_rm_leaves_what_python_downloads_at_the_same_time(self):
        for _ in range(3):
            self.python_downloads("v1.0.0")
            python = Python(self.environment({}))
            python.start([["snapshot_download", self.of(revision="main")]])
            self.remove(f"{self.repo.name}@v1.0.0")
            (answer,) = python.answers()
            self.assertNotIn("error", answer, answer.get("message"))
            self.assert_snapshot("main", answer["value"])
            self.scanned()
            self.remove(self.repo.name)

    def test_rm_leaves_a_blob_that_python_is_at(self):
        self.python_downloads("main")
        name, folder = etag("large.bin", self.repo.at("main")["large.bin"]), self.repo.folder(self.cache)
        with open(self.cache / ".locks" / folder.name / f"{name}.lock", "w") as held:  # as filelock does
            fcntl.flock(held, fcntl.LOCK_EX)
            kept = self.remove(self.repo.name)["kept"]
        self.assertEqual(len(kept), 1)
        self.assertEqual(os.listdir(folder / "blobs"), [name])
        self.assertEqual(self.command("gc")["leftovers"], 1)
        self.assertIsNone(self.scanned())

    def test_what_a_python_process_has_mapped_is_loaded(self):
        self.python_downloads("main")
        library = self.repo.snapshot(self.cache, "main") / "build/graft1-cpu-x86_64-linux/kernel.so"
        code = """if True:
            import mmap, sys
            with open(sys.argv[1], "rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            print(flush=True)
            input()
        """
        python = subprocess.Popen([sys.executable, "-c", code, library], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            python.stdout.readline()
            (commit,) = self.listed()["commits"]
            self.assertEqual([process["pid"] for process in commit["loaded_by"]], [python.pid])
            self.assertIn("python", commit["loaded_by"][0]["program"])
            self.assertIn("is loaded by", self.remove(self.repo.name, exits=1)["error"]["why"])
            self.remove(self.repo.name, "--force")
        finally:
            python.communicate(b"\n", timeout=PATIENCE)
        self.assertIsNone(self.scanned())


if __name__ == "__main__":
    unittest.main()
