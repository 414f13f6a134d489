"""What Graft has downloaded, huggingface_hub finds in the cache, without a network."""

import unittest
from pathlib import Path

from hub_folder import Repo
from support import TOKEN, for_models_and_kernels, setUpModule  # noqa: F401  (unittest calls setUpModule)

OFFLINE = {"HF_HUB_OFFLINE": "1"}


@for_models_and_kernels
class Snapshots:
    def test_graft_says_what_it_downloaded_and_where(self):
        files = self.repo.at("main")
        said = self.graft("main", "--all")
        self.assertEqual(
            (said["repo"], said["repo_type"], said["commit"]), (self.repo.name, self.kind, self.repo.refs["main"])
        )
        self.assertEqual(said["folder"], str(self.repo.snapshot(self.cache, "main")))
        self.assertEqual(
            {file["path"]: file["size"] for file in said["files"]},
            {path: len(content) for path, content in files.items()},
        )
        # A blob that two paths share is downloaded once.
        self.assertEqual(said["bytes_downloaded"], sum(len(content) for content in set(files.values())))
        self.assertFalse(said["note"])

    def test_python_finds_the_snapshot(self):
        for revision in ("main", "v1.0.0"):
            folder = self.graft(revision, "--all")["folder"]
            self.assert_snapshot(revision, folder)
            self.assert_linked(revision)
            for name in (revision, self.repo.refs[revision]):
                found = self.python("snapshot_download", self.of(revision=name), **OFFLINE)
                self.assertEqual(found, folder)
                found = self.python("snapshot_download", self.of(revision=name, local_files_only=True))
                self.assertEqual(found, folder)

    def test_python_finds_each_file(self):
        self.graft("main", "--all")
        files = self.repo.at("main")
        for name, variables in (("hf_hub_download", OFFLINE), ("try_to_load_from_cache", {})):
            answers = self.python_calls([[name, self.of(filename=path)] for path in files], **variables)
            for (path, content), answer in zip(files.items(), answers):
                with self.subTest(f"{name} {path}"):
                    self.assertNotIn("error", answer, answer.get("message"))
                    self.assertEqual(Path(answer["value"]).read_bytes(), content)

    def test_pythons_scan_of_the_cache_has_sizes_revisions_and_refs_and_no_warning(self):
        self.graft("main", "--all")
        self.graft("v1.0.0", "--all")
        scan = self.assert_whole()
        revisions = scan["repos"][f"{self.kind}/{self.repo.name}"]
        self.assertEqual(set(revisions), set(self.repo.refs.values()))
        for ref, commit in self.repo.refs.items():
            files = self.repo.at(ref)
            self.assertEqual(revisions[commit]["refs"], [ref])
            self.assertEqual(revisions[commit]["files"], {path: len(content) for path, content in files.items()})
            self.assertEqual(revisions[commit]["size"], sum(len(content) for content in set(files.values())))
        blobs = {content for files in self.repo.files.values() for content in files.values()}
        self.assertEqual(scan["size"], sum(map(len, blobs)))

    def test_python_online_downloads_nothing_again(self):
        self.graft("main", "--all")
        recorder = self.record()
        folder = self.python("snapshot_download", self.of())
        self.assert_snapshot("main", folder)
        self.assertEqual([request for request in recorder.requests if "/resolve/" in request], [])

    def test_a_part_of_a_snapshot_is_a_part_to_python_too(self):
        said = self.graft("main", "build/*")
        paths = [path for path in self.repo.at("main") if path.startswith("build/")]
        self.assert_snapshot("main", said["folder"], paths)
        build = self.of(allow_patterns=["build/*"])
        self.assertEqual(self.python("snapshot_download", build, **OFFLINE), said["folder"])
        self.assertIn(
            "LocalEntryNotFoundError", self.python_fails("hf_hub_download", self.of(filename="README.md"), **OFFLINE)
        )
        self.assert_whole()

    def test_python_completes_what_graft_began(self):
        self.graft("main", "config.json", "*.safetensors")
        folder = self.python("snapshot_download", self.of())
        self.assert_snapshot("main", folder)
        self.assert_linked("main")
        self.assert_whole()

    def test_the_listing_that_graft_keeps_is_one_that_python_reads(self):
        self.graft("main", "--all")
        cached = self.python("get_cached_repo_tree", self.of(), **OFFLINE)
        listed = [entry for entry in self.python("list_repo_tree", self.of(recursive=True)) if "blob_id" in entry]
        keep = ("path", "size", "blob_id", "xet_hash")
        self.assertEqual(*(sorted([[e[key] for key in keep] for e in entries]) for entries in (cached, listed)))

    def test_a_snapshot_that_graft_left_incomplete_is_refused_by_python(self):
        self.graft("main", "config.json")
        self.assertIn("IncompleteSnapshotError", self.python_fails("snapshot_download", self.of(), **OFFLINE))

    def test_python_deletes_a_revision_of_grafts_and_keeps_the_other(self):
        for revision in ("main", "v1.0.0"):
            self.graft(revision, "--all")
        main, older = ({content for content in self.repo.at(revision).values()} for revision in ("main", "v1.0.0"))
        freed = self.python("delete", {"commits": [self.repo.refs["main"]]})
        self.assertEqual(freed, sum(map(len, main - older)))
        self.assertFalse(self.repo.snapshot(self.cache, "main").exists())
        self.assert_snapshot("v1.0.0", self.repo.snapshot(self.cache, "v1.0.0"))
        self.assert_whole()
        self.assertEqual(self.graft("main", "--all")["bytes_downloaded"], freed)

    def test_another_cache_folder_can_be_named(self):
        elsewhere = self.home / "elsewhere"
        self.graft("main", "--all", "--cache-dir", elsewhere)
        self.assertFalse(self.cache.exists())
        self.assert_snapshot("main", self.python("snapshot_download", self.of(cache_dir=str(elsewhere)), **OFFLINE))

    def test_the_cache_is_where_HF_HUB_CACHE_says(self):
        self.cache = self.home / "named"
        self.graft("main", "--all", HF_HUB_CACHE=str(self.cache))
        found = self.python("snapshot_download", self.of(), HF_HUB_CACHE=str(self.cache), **OFFLINE)
        self.assertEqual(found, str(self.repo.snapshot(self.cache, "main")))

    def test_kernels_are_where_KERNELS_CACHE_says_and_models_are_not(self):
        named = self.home / "kernels"
        folder = self.graft("main", "--all", KERNELS_CACHE=str(named))["folder"]
        cache = named if self.kind == "kernel" else self.cache
        self.assertEqual(folder, str(self.repo.snapshot(cache, "main")))
        self.assertEqual(self.python("snapshot_download", self.of(cache_dir=str(cache)), **OFFLINE), folder)


@for_models_and_kernels
class Copies:
    def test_without_links_the_snapshot_holds_copies_that_python_finds(self):
        without = {"HF_HUB_DISABLE_SYMLINKS": "1"}
        folder = self.graft("main", "--all", **without)["folder"]
        self.assert_snapshot("main", folder)
        self.assertEqual([str(path) for path in Path(folder).rglob("*") if path.is_symlink()], [])
        for variables in (OFFLINE, {**OFFLINE, **without}):
            self.assertEqual(self.python("snapshot_download", self.of(), **variables), folder)
        revision = self.assert_whole()["repos"][f"{self.kind}/{self.repo.name}"][self.repo.refs["main"]]
        self.assertEqual(revision["files"], {path: len(content) for path, content in self.repo.at("main").items()})

    def test_copies_are_found_again_by_graft(self):
        without = {"HF_HUB_DISABLE_SYMLINKS": "1"}
        self.graft("main", "--all", **without)
        self.assertEqual(self.graft("main", "--all", **without)["bytes_downloaded"], 0)
        self.assertEqual(self.graft("main", "--all")["bytes_downloaded"], 0)


@for_models_and_kernels
class Access:
    serve = (
        "--token",
        TOKEN,
        "--private",
        "interop/private",
        "--gated",
        "interop/gated",
        "--renamed",
        "interop/old-name=interop/public",
    )

    def test_what_the_token_gave_stays_found_without_it(self):
        for name in ("interop/private", "interop/gated"):
            repo = self.hub.repos[self.kind, name]
            folder = self.graft("main", "--all", repo=repo, HF_TOKEN=TOKEN)["folder"]
            self.assertEqual(self.python("snapshot_download", self.of(repo), **OFFLINE), folder)

    def test_the_token_that_python_saved_is_used(self):
        repo = self.hub.repos[self.kind, "interop/private"]
        (self.home / "token").write_text(f"{TOKEN}\n")
        self.assert_snapshot("main", self.graft("main", "--all", repo=repo)["folder"], repo=repo)

    def test_refusals_have_the_codes_of_pythons_errors(self):
        for name, code in (
            ("interop/private", "not_found"),
            ("interop/gated", "gated"),
            ("interop/nowhere", "not_found"),
        ):
            with self.subTest(name):
                self.assertEqual(self.graft_fails("main", "--all", repo=Repo(self.kind, name))["code"], code)
        self.assertEqual(self.graft_fails("v9.9.9", "--all")["code"], "revision_not_found")

    def test_a_renamed_repo_is_cached_under_the_name_that_was_asked_for(self):
        old = Repo(self.kind, "interop/old-name", self.repo.refs, self.repo.files)
        folder = self.graft("main", "--all", repo=old)["folder"]
        self.assertEqual(folder, str(old.snapshot(self.cache, "main")))
        self.assertEqual(self.python("snapshot_download", self.of(old), **OFFLINE), folder)


if __name__ == "__main__":
    unittest.main()
