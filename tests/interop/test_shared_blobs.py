"""The store in which huggingface_hub keeps blobs that several repos share: Graft links from it as Python does."""

import hashlib
import os
import unittest
from pathlib import Path

from hub_folder import etag, git_blob, is_lfs
from support import for_models_and_kernels, setUpModule  # noqa: F401  (unittest calls setUpModule)

SHARED = "model.safetensors"


@for_models_and_kernels
class SharedBlobs:
    def setUp(self):
        super().setUp()
        self.commit = self.repo.refs["main"]
        self.content = self.repo.at("main")[SHARED]
        self.hash = hashlib.sha256(b"stands for a Xet hash: " + self.content).hexdigest()
        self.blob = self.repo.folder(self.cache) / "blobs" / etag(SHARED, self.content)
        self.recorder = self.record()

    def share(self, content):
        """Python puts the content into the store, out of another repo, and the repo's listing names it there."""
        other = self.cache / "models--someone--else" / "blobs" / hashlib.sha256(content).hexdigest()
        pointer = other.parent.parent / "snapshots" / ("0" * 40) / SHARED
        for folder in (other.parent, pointer.parent):
            folder.mkdir(parents=True)
        other.write_bytes(content)
        pointer.symlink_to(f"../../blobs/{other.name}")
        entries = {}
        for path, of_path in self.repo.at("main").items():
            entries[path] = {"size": len(of_path), "blob_id": git_blob(of_path)}
            if is_lfs(path, of_path):
                entries[path].update(lfs_sha256=etag(path, of_path), lfs_size=len(of_path))
        entries[SHARED]["xet_hash"] = self.hash
        tree = {"folder": str(self.repo.folder(self.cache)), "commit": self.commit, "entries": entries}
        blob = {"blob": str(other), "xet_hash": self.hash, "cache_dir": str(self.cache)}
        for answer in self.python_calls([["share", blob], ["write_tree", tree]]):
            self.assertNotIn("error", answer, answer.get("message"))
        self.store = self.cache / "blobs" / self.hash[:2] / self.hash
        self.assertTrue(self.store.is_file() and other.is_symlink())

    def references(self):
        arguments = {"store_path": str(self.store), "cache_dir": str(self.cache)}
        return [Path(path) for path in self.python("references", arguments)]

    def assert_downloaded(self, said):
        self.assertEqual(said["bytes_downloaded"], len(self.content))
        self.assertTrue(self.recorder.asked_for(f"/resolve/{self.commit}/{SHARED}"))
        self.assertFalse(self.blob.is_symlink())
        self.assertEqual(self.blob.read_bytes(), self.content)
        self.assertNotIn(self.blob, self.references())

    def test_a_blob_in_the_store_is_linked_and_not_asked_for(self):
        self.share(self.content)
        said = self.graft(self.commit, SHARED)
        self.assertEqual(said["bytes_downloaded"], 0)
        self.assertEqual(self.recorder.asked_for(SHARED), [])
        self.assertEqual(os.readlink(self.blob), f"../../blobs/{self.hash[:2]}/{self.hash}")
        self.assert_snapshot("main", said["folder"], [SHARED])

    def test_the_link_is_in_the_manifest_that_keeps_python_from_deleting_the_blob(self):
        self.share(self.content)
        self.graft(self.commit, SHARED)
        self.assertIn(self.blob, self.references())
        scan = self.assert_whole()
        self.assertEqual(scan["size"], len(self.content))  # once, though two repos have it

    def test_the_blob_stays_when_python_deletes_the_other_repo(self):
        self.share(self.content)
        folder = self.graft(self.commit, SHARED)["folder"]
        self.assertEqual(self.python("delete", {"commits": ["0" * 40]}), 0)
        self.assertFalse((self.cache / "models--someone--else").exists())
        self.assert_snapshot("main", folder, [SHARED])
        self.assertEqual(self.python("delete", {"commits": [self.commit]}), len(self.content))
        self.assertFalse(self.store.exists())

    def test_the_rest_of_the_snapshot_is_downloaded(self):
        self.share(self.content)
        said = self.graft(self.commit, "--all")
        files = self.repo.at("main")
        rest = {content for path, content in files.items() if path != SHARED}
        self.assertEqual(said["bytes_downloaded"], sum(map(len, rest)))
        self.assert_snapshot("main", said["folder"])
        self.assertEqual(self.recorder.asked_for(SHARED), [])

    def test_python_finds_what_graft_linked(self):
        self.share(self.content)
        folder = self.graft(self.commit, "--all")["folder"]
        found = self.python("snapshot_download", self.of(revision=self.commit), HF_HUB_OFFLINE="1")
        self.assertEqual(found, folder)

    def test_a_shared_blob_is_downloaded_if_that_is_switched_off(self):
        self.share(self.content)
        self.assert_downloaded(self.graft(self.commit, SHARED, HF_HUB_DISABLE_SHARED_BLOBS="1"))

    def test_an_entry_with_other_bytes_is_not_linked(self):
        self.share(bytes(len(self.content)))
        self.assert_downloaded(self.graft(self.commit, SHARED))

    def test_an_entry_of_another_size_is_not_linked(self):
        self.share(self.content[:-1])
        self.assert_downloaded(self.graft(self.commit, SHARED))

    def test_a_store_without_its_mark_is_not_used(self):
        self.share(self.content)
        (self.cache / "blobs" / ".huggingface-shared-blobs").unlink()
        said = self.graft(self.commit, SHARED)
        self.assertEqual(said["bytes_downloaded"], len(self.content))
        self.assertFalse(self.blob.is_symlink())

    def test_without_links_a_shared_blob_is_no_link(self):
        self.share(self.content)
        said = self.graft(self.commit, SHARED, HF_HUB_DISABLE_SYMLINKS="1")
        file = Path(said["folder"]) / SHARED
        self.assertFalse(file.is_symlink())
        self.assertEqual(file.read_bytes(), self.content)
        self.assertEqual(self.store.read_bytes(), self.content)


if __name__ == "__main__":
    unittest.main()
