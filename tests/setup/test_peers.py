import os
import re
import unittest
from unittest import mock

import support
import cache
import peers
from errors import SetupError


class Pins(unittest.TestCase):
    def test_every_package_has_one_version_and_its_hashes(self):
        text = re.sub(r"#.*", "", peers.REQUIREMENTS.read_text()).replace("\\\n", " ")
        for line in filter(str.strip, text.splitlines()):
            self.assertRegex(line, r"^[a-z0-9_]+==[0-9a-z.]+(\s+--hash=sha256:[0-9a-f]{64})+\s*$")

    def test_what_speaks_another_protocol_is_left_out(self):
        names = re.findall(r"^([a-z0-9_]+)==", peers.REQUIREMENTS.read_text(), re.MULTILINE)
        self.assertIn("huggingface_hub", names)
        self.assertNotIn("hf_xet", names)


class Install(support.WithCache):
    def small_peers(self, source="class HfApi: pass\nhf_hub_download = scan_cache_dir = snapshot_download = None\n"):
        """Pins a stand-in for huggingface_hub and kernels, in a folder that pip is told to look in, and nowhere else"""
        others = ("kernels/__init__.py", "kernels/load.py", "kernels/locking.py", "packaging/__init__.py", "packaging/specifiers.py")
        files = {"huggingface_hub/__init__.py": source, **dict.fromkeys(others, "")}
        wheel = support.make_wheel(self.folder / "wheels", "huggingface-hub", "1.33.0", files)
        os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(self.folder / "wheels"))
        pins = self.folder / "peers.txt"
        pins.write_text(f"huggingface_hub==1.33.0 --hash=sha256:{wheel.sha256}\n")
        patch = mock.patch.object(peers, "REQUIREMENTS", pins)
        patch.start()
        self.addCleanup(patch.stop)
        return pins

    def test_they_are_missing_until_installed_and_then_a_folder_for_PYTHONPATH(self):
        self.small_peers()
        self.assertEqual(peers.missing(), [peers.TITLE])
        peers.install()
        self.assertEqual(peers.missing(), [])
        self.assertTrue((peers.folder() / "huggingface_hub" / "__init__.py").is_file())
        self.assertEqual(self.leftovers(), [])

    def test_a_second_installation_does_nothing(self):
        self.small_peers()
        peers.install()
        with mock.patch.object(peers.packages.registry, "install", side_effect=AssertionError):
            peers.install()

    def test_another_pin_makes_them_again(self):
        pins = self.small_peers()
        peers.install()
        pins.write_text(f"# another\n{pins.read_text()}")
        self.assertEqual(peers.missing(), [peers.TITLE])
        peers.install()
        self.assertEqual(peers.missing(), [])

    def test_a_file_that_is_gone_makes_them_again(self):
        self.small_peers()
        peers.install()
        (peers.folder() / "huggingface_hub" / "__init__.py").unlink()
        self.assertEqual(peers.missing(), [peers.TITLE])

    def test_a_wheel_with_another_hash_is_refused_and_leaves_nothing_half(self):
        pins = self.small_peers()
        pins.write_text(f"huggingface_hub==1.33.0 --hash=sha256:{'0' * 64}\n")
        with self.assertRaisesRegex(SetupError, "pip failed"):
            peers.install()
        self.assertFalse(peers.folder().exists())
        self.assertEqual(self.leftovers(), [])

    def test_packages_that_this_python_cannot_import_are_an_error_that_names_why(self):
        self.small_peers("import a_package_that_is_not_pinned\n")
        with self.assertRaisesRegex(SetupError, "cannot import it: .*a_package_that_is_not_pinned"):
            peers.install()
        self.assertFalse(peers.folder().exists())
        self.assertEqual(self.leftovers(), [])

    def test_what_the_machine_has_installed_does_not_stand_in_for_a_pin(self):
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "huggingface_hub.py").write_text("raise AssertionError")
        os.environ["PYTHONPATH"] = str(elsewhere)
        self.small_peers()
        peers.install()


class Recipe(support.WithCache):
    def test_a_folder_of_older_pins_is_named_as_such(self):
        with cache.making(peers.folder(), "peers.txt sha256:older", 1) as (content, _):
            (content / "huggingface_hub.py").write_text("")
        self.assertIn("was made by peers.txt sha256:older", cache.flaw(peers.folder(), peers.packages.recipe(peers.REQUIREMENTS)))


if __name__ == "__main__":
    unittest.main()
