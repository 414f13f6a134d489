"""Which of kernel-builder's variants fit, and in which order: Graft's adapters against HF kernels, on generated listings and
hosts. GRAFT_RESOLVE_LINES names the program that answers for Graft (tests/platform/resolve_lines.cpp)."""

import json
import os
import random
import subprocess

from programs import PATIENCE
from support import Case, setUpModule  # noqa: F401  (unittest calls setUpModule)

CASES = 3_000
FRAMEWORKS = [
    *(f"torch{version}{abi}" for version in ("29", "210", "211", "212") for abi in ("", "-cxx11", "-cxx98")),
    *(f"torch-stable-abi{version}" for version in ("28", "29", "210", "212")),
    "tvm-ffi01",
    "tvm-ffi02",
]
BACKENDS = ["cpu", "cu118", "cu126", "cu128", "cu130", "cu132", "rocm64", "rocm70", "xpu20252", "xpu20253", "metal", "cann82"]
PLATFORMS = ["x86_64-linux", "aarch64-linux", "aarch64-darwin", "x86_64-windows"]
OTHERS = ["torch-cpu", "torch-universal", "torch-cuda", "source", "torch211", "cu130-x86_64-linux", "tvm-ffi-cpu-x86_64-linux"]
DEVICES = {"cann": "npu"}


def listing(draw):
    names = {f"{draw.choice(FRAMEWORKS)}-{draw.choice(BACKENDS)}-{draw.choice(PLATFORMS)}" for _ in range(60)}
    return sorted(names | set(draw.sample(OTHERS, 3)))


def case(draw):
    cpu, os_name = draw.choice(PLATFORMS).split("-")
    backend, version = draw.choice(
        [("cpu", ""), ("cuda", "12.8"), ("cuda", "13.0"), ("cuda", "13.0"), ("rocm", "7.0"), ("xpu", "2025.2"), ("metal", ""), ("cann", "8.2")]
    )
    return {
        "listing": listing(draw),
        "backend": [backend, version],
        "cpu": cpu,
        "os": os_name,
        "torch": draw.choice([None, "2.9", "2.10", "2.11"]),
        "cxx11": True if os_name == "linux" else None,
        "tvm_ffi": draw.choice([None, "0.1"]),
        "macos": draw.choice(["15.4", "26.0", "26.2"]) if os_name == "darwin" else None,
    }


def for_graft(case):
    backend, version = case["backend"]
    host = {"os": case["os"], "cpu": case["cpu"], "adapters": ["torch", "torch-stable-abi", "tvm-ffi"]}
    if case["torch"]:
        host["torch"] = case["torch"]
        if case["cxx11"] is not None:
            host["torch_cxx11_abi"] = case["cxx11"]
    if case["tvm_ffi"]:
        host["tvm_ffi"] = case["tvm_ffi"]
    if case["macos"]:
        host["metal"] = case["macos"]
    if backend == "cuda":
        host["cuda"] = {"driver": "13.2" if version[:2] == "13" else "12.9", "runtime": version}
    elif version:
        host[backend] = version
    return {"host": host, "device": DEVICES.get(backend, backend), "listing": case["listing"]}


class Variants(Case):
    def test_fit_where_hf_kernels_says_so(self):
        seed = random.SystemRandom().randrange(2**32)
        draw = random.Random(seed)
        cases = [case(draw) for _ in range(CASES)]
        expected = self.kernels("resolve", {"cases": cases})
        said = subprocess.run(
            [os.environ["GRAFT_RESOLVE_LINES"]],
            input="".join(json.dumps(for_graft(each)) + "\n" for each in cases),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        ).stdout.splitlines()
        self.assertEqual(len(said), CASES)
        self.assertGreater(sum(bool(accepted) for accepted in expected), CASES // 10)
        for each, theirs, ours in zip(cases, expected, map(json.loads, said)):
            self.assertEqual(theirs, ours, f"seed {seed}, {json.dumps(for_graft(each))}")
