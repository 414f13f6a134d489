"""The Python side of a test: calls of huggingface_hub, given as JSON on standard input: [[name, {arguments}], …].

Prints "ready" once everything is imported, then one JSON line with an answer for each call: {"value": …} or
{"error": [the exception's class and its bases], "message": …}. It is a process of its own, since huggingface_hub reads
its environment when it is imported.
"""

import inspect
import json
import os
import sys
from pathlib import Path

import huggingface_hub
from huggingface_hub import _CACHED_NO_EXIST, HfApi, scan_cache_dir
from huggingface_hub._tree_cache import TreeCacheEntry, read_tree_cache, write_tree_cache
from huggingface_hub.utils import _shared_blobs


def scanned(cache_dir=None):
    """What scan_cache_dir says: {warnings, incomplete, size, repos: {"model/org/name": {commit: {refs, size, files}}}}"""
    found = scan_cache_dir(cache_dir)
    repos = {}
    for repo in found.repos:
        repos[f"{repo.repo_type}/{repo.repo_id}"] = {
            revision.commit_hash: {
                "refs": sorted(revision.refs),
                "size": revision.size_on_disk,
                "files": {
                    str(file.file_path.relative_to(revision.snapshot_path)): file.size_on_disk
                    for file in revision.files
                },
            }
            for revision in repo.revisions
        }
    return {
        "warnings": [str(warning) for warning in found.warnings],
        "incomplete": [str(file.file_path) for file in found.incomplete_files],
        "size": found.size_on_disk,
        "repos": repos,
    }


def delete(commits):
    """Deletes revisions from the cache, with the blobs that no other needs; the bytes that this was to free"""
    strategy = scan_cache_dir().delete_revisions(*commits)
    strategy.execute()
    return strategy.expected_freed_size


def share(blob, xet_hash, cache_dir):
    """Moves a blob of a repo in the cache into the store that all repos share; its path there"""
    size = os.path.getsize(blob)
    shared = _shared_blobs.publish_blob_to_shared_store(
        blob_path=blob, xet_hash=xet_hash, cache_dir=cache_dir, expected_size=size
    )
    return str(_shared_blobs.shared_blob_path(cache_dir, xet_hash)) if shared else None


def references(store_path, cache_dir):
    """The blobs that, by the store's manifest, are links to this entry; None if the manifest is not valid"""
    found = _shared_blobs._read_valid_manifest_references(Path(store_path), cache_dir)
    return None if found is None else sorted(map(str, found))


def write_tree(folder, commit, entries):
    write_tree_cache(folder, commit, {path: TreeCacheEntry(**entry) for path, entry in entries.items()})


OWN = {
    "scan": scanned,
    "delete": delete,
    "share": share,
    "references": references,
    "write_tree": write_tree,
    "read_tree": read_tree_cache,
}


def plain(value):
    if value is _CACHED_NO_EXIST:
        return "no_exist"
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)) or inspect.isgenerator(value):
        return [plain(inner) for inner in value]
    if hasattr(value, "__dict__"):
        return {key: plain(inner) for key, inner in vars(value).items()}
    return str(value)


def answer(name, arguments):
    try:
        call = OWN.get(name) or getattr(huggingface_hub, name, None) or getattr(HfApi(), name)
        return {"value": plain(call(**arguments))}
    except Exception as error:
        return {"error": [kind.__name__ for kind in type(error).__mro__], "message": str(error)}


if __name__ == "__main__":
    print("ready", flush=True)
    print(json.dumps([answer(name, arguments) for name, arguments in json.load(sys.stdin)]))
