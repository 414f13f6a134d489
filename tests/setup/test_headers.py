import dataclasses
import os
import unittest
from pathlib import Path
from unittest import mock

import support
import headers
from errors import SetupError

DATA = "flashinfer/data"


class Install(support.WithCache):
    def small_wheel(self, **more):
        """A stand-in for the wheel, in a folder that pip is told to look in, and nowhere else"""
        files = {
            f"{DATA}/include/{headers.FLASHINFER.header}": "// prefill\n",
            f"{DATA}/cccl/libcudacxx/include/cuda/cmath": "// CCCL\n",
            f"{DATA}/cccl/cub/benchmarks/bench.cu": "not wanted",
            "flashinfer/decode.py": "not wanted",
            **more,
        }
        wheel = support.make_wheel(self.folder / "wheels", "flashinfer-python", headers.FLASHINFER.wheel.version, files)
        os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(self.folder / "wheels"))
        return dataclasses.replace(headers.FLASHINFER, wheel=wheel, unpacked=0)

    def test_it_is_missing_until_its_headers_are_unpacked_and_nothing_else(self):
        flashinfer = self.small_wheel()
        self.assertEqual(flashinfer.missing(), [flashinfer.TITLE])
        flashinfer.install()
        self.assertEqual(flashinfer.missing(), [])
        names = {str(path.relative_to(flashinfer.folder())) for path in flashinfer.folder().rglob("*") if path.is_file()}
        self.assertEqual(
            names - {".graft-stamp.json"},
            {f"{DATA}/include/{flashinfer.header}", f"{DATA}/cccl/libcudacxx/include/cuda/cmath"},
        )
        self.assertEqual(self.leftovers(), [])

    def test_another_wheel_than_the_pinned_one_is_refused(self):
        flashinfer = self.small_wheel()
        support.make_wheel(self.folder / "wheels", "flashinfer-python", flashinfer.wheel.version, {"x.h": "another"})
        with self.assertRaisesRegex(SetupError, "pip failed: .*HASH"):
            flashinfer.install()
        self.assertEqual(flashinfer.missing(), [flashinfer.TITLE])

    def test_a_named_folder_comes_first_and_a_wrong_one_is_an_error(self):
        flashinfer = headers.FLASHINFER
        named = self.folder / "include"
        (named / flashinfer.header).parent.mkdir(parents=True)
        os.environ["FLASHINFER_INCLUDE"] = str(named)
        with self.assertRaisesRegex(SetupError, "FLASHINFER_INCLUDE is set, but .*include has no"):
            flashinfer.missing()
        (named / flashinfer.header).write_text("// prefill\n")
        self.assertEqual(flashinfer.missing(), [])


class OfUse(support.WithCache):
    """Where there is an nvcc"""

    def setUp(self):
        super().setUp()
        for name in ("CUDACXX", "CUDA_HOME", "CUDA_PATH"):
            os.environ.pop(name, None)
        os.environ["PATH"] = str(self.folder)
        is_file = Path.is_file
        patch = mock.patch.object(Path, "is_file", lambda path: self.folder in path.parents and is_file(path))
        patch.start()
        self.addCleanup(patch.stop)

    def make_nvcc(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "nvcc").write_text("#!/bin/sh\n")
        (folder / "nvcc").chmod(0o755)

    def test_a_machine_without_nvcc_does_without_it(self):
        self.assertFalse(headers.of_use())

    def test_nvcc_on_PATH(self):
        self.make_nvcc(self.folder)
        self.assertTrue(headers.of_use())

    def test_nvcc_in_a_named_toolkit(self):
        self.make_nvcc(self.folder / "toolkit" / "bin")
        os.environ["CUDA_HOME"] = str(self.folder / "toolkit")
        self.assertTrue(headers.of_use())


if __name__ == "__main__":
    unittest.main()
