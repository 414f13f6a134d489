"""Graft and huggingface_hub at work on one cache at the same time."""

import fcntl
import time
import unittest

from hub_folder import etag
from programs import Python
from support import for_models_and_kernels, setUpModule  # noqa: F401  (unittest calls setUpModule)

EACH = 3  # processes of either side


@for_models_and_kernels
class BothAtOnce:
    def run_at_once(self, python_calls, graft_words):
        """All Python processes are imported and waiting before the first process of either side begins."""
        pythons = [Python(self.environment({})) for _ in python_calls]
        grafts = []
        for index in range(max(len(python_calls), len(graft_words))):
            if index < len(pythons):
                pythons[index].start([python_calls[index]])
            if index < len(graft_words):
                grafts.append(self.start_graft("main", graft_words[index]))
        answers = [python.answers()[0] for python in pythons]
        finished = [graft.finished() for graft in grafts]
        for answer in answers:
            self.assertNotIn("error", answer, answer.get("message"))
        for code, said in finished:
            self.assertEqual(code, 0, said)
        return [answer["value"] for answer in answers], [said["folder"] for _, said in finished]

    def test_the_same_snapshot_by_several_of_both_leaves_the_cache_whole(self):
        folders = self.run_at_once([["snapshot_download", self.of()]] * EACH, [["--all"]] * EACH)
        self.assertEqual({folder for side in folders for folder in side}, {str(self.repo.snapshot(self.cache, "main"))})
        self.assert_snapshot("main", self.repo.snapshot(self.cache, "main"))
        self.assert_linked("main")
        scan = self.assert_whole()
        self.assertEqual(scan["repos"][f"{self.kind}/{self.repo.name}"][self.repo.refs["main"]]["refs"], ["main"])

    def test_a_file_by_one_side_and_the_snapshot_by_the_other_leave_the_cache_whole(self):
        file = ["hf_hub_download", self.of(filename="large.bin")]
        self.run_at_once([file, ["snapshot_download", self.of()], file], [["--all"], ["large.bin"], ["large.bin"]])
        self.assert_snapshot("main", self.repo.snapshot(self.cache, "main"))
        self.assert_whole()

    def test_other_files_of_the_same_blob_at_once_are_all_there(self):
        first, second = [f"build/graft1-cpu-x86_64-linux{level}/kernel.so" for level in ("", "-x86_64_v3")]
        calls = [["hf_hub_download", self.of(filename=path)] for path in (first, second)]
        self.run_at_once(calls, [[second], [first]])
        self.assert_snapshot("main", self.repo.snapshot(self.cache, "main"), [first, second])
        self.assert_whole()

    def test_copies_by_several_at_once_are_all_whole(self):
        without = {"HF_HUB_DISABLE_SYMLINKS": "1"}
        grafts = [self.start_graft("main", ["--all"], without) for _ in range(2 * EACH)]
        for code, said in [graft.finished() for graft in grafts]:
            self.assertEqual(code, 0, said)
        self.assert_snapshot("main", self.repo.snapshot(self.cache, "main"))
        self.assert_whole()

    def test_graft_waits_for_who_is_at_a_file_and_takes_what_that_one_got(self):
        content = self.repo.at("main")["large.bin"]
        name, folder = etag("large.bin", content), self.repo.folder(self.cache)
        lock = self.cache / ".locks" / folder.name / f"{name}.lock"
        for parent in (lock.parent, folder / "blobs"):
            parent.mkdir(parents=True)
        with open(lock, "w") as held:  # as huggingface_hub's WeakFileLock does
            fcntl.flock(held, fcntl.LOCK_EX)
            graft = self.start_graft("main", ["large.bin"])
            time.sleep(1)
            self.assertIsNone(graft.process.poll())
            (folder / "blobs" / name).write_bytes(content)
        code, said = graft.finished()
        self.assertEqual((code, said["bytes_downloaded"]), (0, 0), said)
        self.assert_snapshot("main", said["folder"], ["large.bin"])


if __name__ == "__main__":
    unittest.main()
