"""The Python side of the tests with HF kernels and packaging: as peer.py, with calls of theirs."""

import json
import sys
from pathlib import Path

import kernels.hf_hub
import kernels.load
import kernels.locking
import kernels.variants
from huggingface_hub import HfApi
from kernels._rust import KernelLocks, KernelVersion
from kernels.backends import CANN, CPU, CUDA, XPU, Metal, ROCm
from packaging.specifiers import SpecifierSet
from packaging.version import Version


def read_lock(file):
    """The locks that HF kernels reads in a kernels.lock: [[repo, version or revision, commit], …]"""
    locks = KernelLocks.from_json(Path(file).read_text())

    def version(dependency):
        named = dependency.version
        return named.version if isinstance(named, KernelVersion.Version) else named.revision

    return sorted(([dep.repo_id, version(dep), lock.commit] for dep, lock in locks.items()), key=str)


def locked_commit(repo, file):
    """By the way that its load_kernel takes"""
    locks, dependency = kernels.locking.get_locked_kernel_revision(repo, Path(file))
    return locks[dependency].commit


def download(file):
    """As `kernels download --all-variants`, whose module cannot be imported without sigstore"""
    api = HfApi()
    for dependency, lock in KernelLocks.from_json(Path(file).read_text()).items():
        api.snapshot_download(
            dependency.repo_id,
            repo_type="kernel",
            allow_patterns="build/*",
            cache_dir=kernels.hf_hub.CACHE_DIR,
            revision=lock.commit,
        )


def load(repo, file):
    """Loads a locked kernel from the cache; what its NAME is"""
    return kernels.load.load_kernel(repo, lockfile=Path(file)).NAME


def backend_of(name, version):
    plain = {"cpu": CPU, "metal": Metal}
    versioned = {"cuda": CUDA, "rocm": ROCm, "xpu": XPU, "cann": CANN}
    return plain[name]() if name in plain else versioned[name](version=Version(version))


def resolve(cases):
    """The arch variants that HF kernels accepts for each case, best first"""
    answers = []
    for case in cases:
        variants = []
        for name in case["listing"]:
            try:
                variants.append(kernels.variants.parse_variant(name))
            except ValueError:
                pass
        accepted, _ = kernels.variants._resolve_variant_for_system(
            variants=variants,
            selected_backend=backend_of(*case["backend"]),
            cpu=case["cpu"],
            os=case["os"],
            torch_version=case["torch"] and Version(case["torch"]),
            torch_cxx11_abi=case["cxx11"],
            tvm_ffi_version=case["tvm_ffi"] and Version(case["tvm_ffi"]),
            macos_version=case["macos"] and Version(case["macos"]),
        )
        answers.append([v.variant_str for v in accepted if isinstance(v, kernels.variants.ArchVariant)])
    return answers


def contains(pairs):
    """Whether packaging finds each version in its range, pre-releases where the range names one"""
    ranges = [(SpecifierSet(specifier), Version(version)) for specifier, version in pairs]
    return [specifiers.contains(version, prereleases=bool(specifiers.prereleases)) for specifiers, version in ranges]


CALLS = {
    "read_lock": read_lock,
    "locked_commit": locked_commit,
    "download": download,
    "load": load,
    "resolve": resolve,
    "contains": contains,
}


def answer(name, arguments):
    try:
        return {"value": CALLS[name](**arguments)}
    except Exception as error:
        return {"error": [kind.__name__ for kind in type(error).__mro__], "message": str(error)}


if __name__ == "__main__":
    print("ready", flush=True)
    print(json.dumps([answer(name, arguments) for name, arguments in json.load(sys.stdin)]))
