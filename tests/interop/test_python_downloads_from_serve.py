"""`graft serve` is a Hub to Python's huggingface_hub."""

import unittest

from hub_folder import Repo, etag, git_blob, is_lfs
from support import TOKEN, for_models_and_kernels, setUpModule  # noqa: F401  (unittest calls setUpModule)


@for_models_and_kernels
class Files:
    def test_a_snapshot_holds_every_file_linked_to_blobs_named_by_their_etags(self):
        folder = self.python("snapshot_download", self.of())
        self.assertEqual(folder, str(self.repo.snapshot(self.cache, "main")))
        self.assert_snapshot("main", folder)
        self.assert_linked("main")
        self.assertEqual((self.repo.folder(self.cache) / "refs/main").read_text(), self.repo.refs["main"])
        self.assert_whole()

    def test_a_tag_and_a_commit_are_revisions_too(self):
        for revision in ("v1.0.0", self.repo.refs["v1.0.0"]):
            folder = self.python("snapshot_download", self.of(revision=revision))
            self.assert_snapshot("v1.0.0", folder)

    def test_patterns_choose_among_the_files(self):
        folder = self.python("snapshot_download", self.of(allow_patterns=["build/*_v3/*"], ignore_patterns=["*.json"]))
        self.assert_snapshot("main", folder, ["build/graft1-cpu-x86_64-linux-x86_64_v3/kernel.so"])

    def test_each_file_can_be_downloaded_alone(self):
        files = self.repo.at("main")
        answers = self.python_calls([["hf_hub_download", self.of(filename=path)] for path in files])
        for (path, content), answer in zip(files.items(), answers):
            with self.subTest(path):
                self.assertNotIn("error", answer, answer.get("message"))
                with open(answer["value"], "rb") as file:
                    self.assertEqual(file.read(), content)

    def test_a_second_snapshot_needs_the_server_only_to_ask_whether_main_moved(self):
        self.python("snapshot_download", self.of())
        recorder = self.record()
        self.python("snapshot_download", self.of())
        self.assertEqual(len(recorder.requests), 1, recorder.requests)

    def test_file_metadata_is_size_etag_and_commit(self):
        for path in ("README.md", "model.safetensors", "empty.txt"):
            content = self.repo.at("v1.0.0")[path]
            url = f"{self.endpoint}/{'kernels/' if self.kind == 'kernel' else ''}{self.repo.name}/resolve/v1.0.0/{path}"
            found = self.python("get_hf_file_metadata", {"url": url})
            self.assertEqual(
                (found["size"], found["etag"], found["commit_hash"]),
                (len(content), etag(path, content), self.repo.refs["v1.0.0"]),
            )
            # LFS files come from the CDN's address, the others from the Hub itself.
            self.assertEqual(found["location"].startswith(self.server.cdn), is_lfs(path, content), found["location"])


@for_models_and_kernels
class Listings:
    serve = ("--page-size", "3")

    def tree(self, **arguments):
        return {entry["path"]: entry for entry in self.python("list_repo_tree", self.of(**arguments))}

    def test_refs_are_the_branches_and_tags_with_their_commits(self):
        refs = self.python("list_repo_refs", self.of())
        self.assertEqual(
            [(b["name"], b["target_commit"]) for b in refs["branches"]], [("main", self.repo.refs["main"])]
        )
        self.assertEqual(
            [(t["name"], t["target_commit"]) for t in refs["tags"]], [("v1.0.0", self.repo.refs["v1.0.0"])]
        )
        self.assertEqual(refs["tags"][0]["ref"], "refs/tags/v1.0.0")

    def test_info_names_the_commit_of_the_revision(self):
        call = "kernel_info" if self.kind == "kernel" else "model_info"
        for revision in ("main", "v1.0.0"):
            for name, more in ((call, {"repo_id": self.repo.name}), ("repo_info", self.of())):
                info = self.python(name, {**more, "revision": revision})
                self.assertEqual((info["id"], info["sha"]), (self.repo.name, self.repo.refs[revision]))
        self.assertEqual(self.python(call, {"repo_id": self.repo.name})["sha"], self.repo.refs["main"])
        self.assertIs(self.python("repo_exists", self.of()), True)

    def test_a_recursive_tree_over_several_pages_names_every_file_with_size_and_hashes(self):
        files = self.repo.at("main")
        tree = self.tree(recursive=True)
        self.assertEqual({path for path, entry in tree.items() if "blob_id" in entry}, set(files))
        for path, content in files.items():
            entry = tree[path]
            self.assertEqual(entry["size"], len(content), path)
            if is_lfs(path, content):
                self.assertEqual(
                    (entry["lfs"]["sha256"], entry["lfs"]["size"]), (etag(path, content), len(content)), path
                )
            else:
                self.assertEqual((entry["blob_id"], entry["lfs"]), (git_blob(content), None), path)

    def test_a_tree_that_is_not_recursive_names_folders(self):
        top = self.tree()
        self.assertEqual(set(top), {path.split("/")[0] for path in self.repo.at("main")})
        self.assertNotIn("blob_id", top["build"])
        self.assertIn("tree_id", top["build"])

    def test_the_tree_of_a_folder_has_paths_from_the_top(self):
        folder = "build/graft1-cpu-x86_64-linux"
        expected = {path for path in self.repo.at("main") if path.startswith(f"{folder}/")}
        self.assertEqual(set(self.tree(path_in_repo=folder)), expected)
        self.assertEqual(
            set(self.tree(path_in_repo="names", recursive=True, revision="main")) & set(self.repo.at("main")),
            {path for path in self.repo.at("main") if path.startswith("names/")},
        )

    def test_list_repo_files_is_the_same_list(self):
        self.assertEqual(set(self.python("list_repo_files", self.of(revision="v1.0.0"))), set(self.repo.at("v1.0.0")))


@for_models_and_kernels
class Refusals:
    serve = ("--token", TOKEN, "--private", "interop/private", "--gated", "interop/gated")

    def assert_refused(self, kind, calls, **variables):
        for (name, arguments), answer in zip(calls, self.python_calls(calls, **variables)):
            with self.subTest(name):
                self.assertIn("error", answer, answer)
                self.assertIn(kind, answer["error"], answer["message"])

    def calls(self, repo, **more):
        return [
            ["repo_info", self.of(repo, **more)],
            ["list_repo_tree", self.of(repo, **more)],
            ["hf_hub_download", self.of(repo, filename="README.md", **more)],
            ["hf_hub_download", self.of(repo, filename="model.safetensors", **more)],
            ["snapshot_download", self.of(repo, **more)],
        ]

    def test_a_private_repo_is_not_found_without_the_token(self):
        repo = self.hub.repos[self.kind, "interop/private"]
        calls = [*self.calls(repo), ["list_repo_refs", self.of(repo)]]
        self.assert_refused("RepositoryNotFoundError", calls)

    def test_a_private_repo_is_there_with_the_token(self):
        repo = self.hub.repos[self.kind, "interop/private"]
        folder = self.python("snapshot_download", self.of(repo), HF_TOKEN=TOKEN)
        self.assert_snapshot("main", folder, repo=repo)

    def test_a_repo_that_does_not_exist_is_not_found(self):
        repo = Repo(self.kind, "interop/nowhere")
        self.assert_refused("RepositoryNotFoundError", self.calls(repo), HF_TOKEN=TOKEN)
        self.assertIs(self.python("repo_exists", self.of(repo)), False)

    def test_a_gated_repo_shows_itself_but_not_its_files_without_the_token(self):
        repo = self.hub.repos[self.kind, "interop/gated"]
        self.assertEqual(self.python("repo_info", self.of(repo))["sha"], repo.refs["main"])
        self.assert_refused("GatedRepoError", self.calls(repo)[2:])

    def test_a_gated_repo_gives_its_files_with_the_token(self):
        repo = self.hub.repos[self.kind, "interop/gated"]
        folder = self.python("snapshot_download", self.of(repo), HF_TOKEN=TOKEN)
        self.assert_snapshot("main", folder, repo=repo)

    def test_a_revision_that_does_not_exist_is_not_found(self):
        self.assert_refused("RevisionNotFoundError", self.calls(self.repo, revision="v9.9.9"))
        self.assert_refused("RevisionNotFoundError", self.calls(self.repo, revision="f" * 40)[:4])

    def test_a_file_that_does_not_exist_is_not_found(self):
        absent = ["hf_hub_download", self.of(filename="nowhere.txt")]
        self.assert_refused("EntryNotFoundError", [absent, ["list_repo_tree", self.of(path_in_repo="nowhere")]])
        self.assertIs(self.python("file_exists", self.of(filename="nowhere.txt")), False)
        self.assertIs(self.python("file_exists", self.of(filename="names/question?#hash.txt")), True)


@for_models_and_kernels
class Renamed:
    serve = ("--renamed", "interop/old-name=interop/public")

    def test_a_renamed_repo_is_found_under_its_old_name(self):
        old = Repo(self.kind, "interop/old-name", self.repo.refs, self.repo.files)
        folder = self.python("snapshot_download", self.of(old))
        self.assert_snapshot("main", folder)
        self.assertEqual(folder, str(old.snapshot(self.cache, "main")))


if __name__ == "__main__":
    unittest.main()
