"""What huggingface_hub has downloaded, Graft finds in the cache, without a network."""

import os
import shutil
import unittest

from programs import dead_endpoint
from support import for_models_and_kernels, setUpModule  # noqa: F401  (unittest calls setUpModule)

OFFLINE = {"HF_HUB_OFFLINE": "1"}


@for_models_and_kernels
class Snapshots:
    def test_graft_offline_finds_the_snapshot_and_downloads_nothing(self):
        for revision in ("main", "v1.0.0"):
            folder = self.python("snapshot_download", self.of(revision=revision))
            for name in (revision, self.repo.refs[revision]):
                said = self.graft(name, "--all", **OFFLINE)
                self.assertEqual((said["folder"], said["bytes_downloaded"]), (folder, 0))
                self.assertEqual(said["commit"], self.repo.refs[revision])
                self.assertEqual({file["path"] for file in said["files"]}, set(self.repo.at(revision)))
        self.assert_whole()

    def test_graft_finds_the_snapshot_if_the_hub_is_out_of_reach_and_says_so(self):
        folder = self.python("snapshot_download", self.of())
        self.endpoint = dead_endpoint()
        said = self.graft("main", "--all")
        self.assertEqual((said["folder"], said["bytes_downloaded"]), (folder, 0))
        self.assertTrue(said["note"])

    def test_graft_online_downloads_nothing_again(self):
        folder = self.python("snapshot_download", self.of())
        said = self.graft("main", "--all")
        self.assertEqual((said["folder"], said["bytes_downloaded"], said["note"]), (folder, 0, ""))
        self.assert_snapshot("main", folder)

    def test_graft_offline_finds_single_files(self):
        self.python("hf_hub_download", self.of(filename="config.json"))
        said = self.graft("main", "config.json", **OFFLINE)
        self.assertEqual(([file["path"] for file in said["files"]], said["bytes_downloaded"]), (["config.json"], 0))

    def test_graft_offline_finds_a_model_that_transformers_downloaded_file_by_file(self):
        if self.kind == "kernel":
            self.skipTest("kernels downloads a kernel's variant as a snapshot")
        files = ["config.json", "model.safetensors"]
        self.python_calls([["hf_hub_download", self.of(filename=path)] for path in files])
        said = self.graft("main", **OFFLINE)
        self.assertEqual((sorted(file["path"] for file in said["files"]), said["bytes_downloaded"]), (files, 0))

    def test_a_part_of_a_snapshot_is_no_snapshot_to_graft_offline(self):
        self.python("snapshot_download", self.of(allow_patterns=["build/*"]))
        self.assertEqual(self.graft_fails("main", "--all", **OFFLINE)["code"], "offline")

    def test_without_a_listing_graft_offline_takes_what_is_there_as_python_does(self):
        # hf_hub_download keeps no listing, so that neither side can tell whether there is more.
        file = self.python("hf_hub_download", self.of(filename="config.json"))
        said = self.graft("main", "--all", **OFFLINE)
        self.assertEqual(([file["path"] for file in said["files"]], said["bytes_downloaded"]), (["config.json"], 0))
        self.assertTrue(said["note"])
        self.assertEqual(said["folder"], self.python("snapshot_download", self.of(), **OFFLINE))
        self.assertEqual(said["folder"], os.path.dirname(file))

    def test_a_snapshot_of_an_older_huggingface_hub_which_kept_no_listing_is_found_offline(self):
        for variables in ({}, {"HF_HUB_DISABLE_SYMLINKS": "1"}):
            cache = {"HF_HUB_CACHE": str(self.home / f"cache {len(variables)}")}
            folder = self.python("snapshot_download", self.of(max_workers=1), **cache, **variables)
            shutil.rmtree(self.repo.folder(cache["HF_HUB_CACHE"]) / "trees")
            said = self.graft("main", "--all", **OFFLINE, **cache)
            self.assertEqual((said["folder"], said["bytes_downloaded"]), (folder, 0))
            self.assertEqual({file["path"] for file in said["files"]}, set(self.repo.at("main")))

    def test_graft_online_completes_a_part_and_downloads_only_the_rest(self):
        self.python("hf_hub_download", self.of(filename="model.safetensors"))
        files = self.repo.at("main")
        said = self.graft("main", "--all")
        rest = {content for path, content in files.items() if path != "model.safetensors"}
        self.assertEqual(said["bytes_downloaded"], sum(map(len, rest)))
        self.assert_snapshot("main", said["folder"])
        self.assert_linked("main")
        self.assert_whole()

    def test_blobs_of_another_revision_are_not_downloaded_again(self):
        self.python("snapshot_download", self.of(revision="v1.0.0"))
        known = set(self.repo.at("v1.0.0").values())
        new = {content for content in self.repo.at("main").values() if content not in known}
        self.assertEqual(self.graft("main", "--all")["bytes_downloaded"], sum(map(len, new)))
        self.assert_whole()

    def test_what_was_never_downloaded_is_not_found_offline(self):
        error = self.graft_fails("main", "--all", **OFFLINE)
        self.assertEqual(error["code"], "offline")
        self.assertTrue(error["mend"])

    def test_a_snapshot_of_copies_is_found_too(self):
        # Without links two of Python's own workers get in each other's way where two files have one blob.
        folder = self.python("snapshot_download", self.of(max_workers=1), HF_HUB_DISABLE_SYMLINKS="1")
        said = self.graft("main", "--all", **OFFLINE)
        self.assertEqual((said["folder"], said["bytes_downloaded"]), (folder, 0))


@for_models_and_kernels
class Marks:
    def test_pythons_mark_of_a_file_that_does_not_exist_outlives_graft(self):
        absent = self.of(filename="nowhere.txt")
        self.assertIn("EntryNotFoundError", self.python_fails("hf_hub_download", absent))
        self.graft("main", "--all")
        self.assertEqual(self.python("try_to_load_from_cache", absent, **OFFLINE), "no_exist")
        self.assert_whole()


if __name__ == "__main__":
    unittest.main()
