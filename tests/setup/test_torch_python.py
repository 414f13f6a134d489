import os
import re
import unittest
from unittest import mock

import support
import libtorch
import torch_python
from errors import SetupError


class Pins(unittest.TestCase):
    def test_every_package_has_one_version_and_its_hashes(self):
        text = re.sub(r"#.*", "", torch_python.REQUIREMENTS.read_text()).replace("\\\n", " ")
        for line in filter(str.strip, text.splitlines()):
            self.assertRegex(line, r"^[a-z0-9_-]+==[0-9a-z.]+(\s+--hash=sha256:[0-9a-f]{64})+\s*$")

    def test_its_torch_is_the_one_that_graft_is_built_with(self):
        text = torch_python.REQUIREMENTS.read_text()
        for wheel in libtorch.WHEELS:
            self.assertIn(f"{wheel.name}=={wheel.version} ", text)
            self.assertIn(wheel.sha256, text)


class Install(support.WithCache):
    def small_torch(self, version="2.11.0"):
        """Pins a stand-in for torch, in a folder that pip is told to look in, and nowhere else"""
        files = {
            "torch/__init__.py": f"__version__ = '{version}'\n",
            **dict.fromkeys(("torch/export.py", "torch/_inductor/__init__.py", "torch/_inductor/compile_fx.py"), ""),
        }
        wheel = support.make_wheel(self.folder / "wheels", "torch", version, files)
        os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(self.folder / "wheels"))
        pins = self.folder / "torch_python.txt"
        pins.write_text(f"torch=={version} --hash=sha256:{wheel.sha256}\n")
        for name, value in (("REQUIREMENTS", pins), ("NEEDED", 0)):
            patch = mock.patch.object(torch_python, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def test_it_is_missing_until_installed_and_then_a_folder_for_PYTHONPATH(self):
        self.small_torch()
        self.assertEqual(torch_python.missing(), [torch_python.TITLE])
        torch_python.install()
        self.assertEqual(torch_python.missing(), [])
        self.assertTrue((torch_python.folder() / "torch" / "__init__.py").is_file())
        self.assertEqual(self.leftovers(), [])

    def test_one_that_cannot_be_used_leaves_the_cache_as_it_was(self):
        self.small_torch(version="2.10.0")
        with self.assertRaises(SetupError) as raised:
            torch_python.install()
        self.assertIn("cannot import it", str(raised.exception))
        self.assertEqual(torch_python.missing(), [torch_python.TITLE])
        self.assertEqual(self.leftovers(), [])


if __name__ == "__main__":
    unittest.main()
