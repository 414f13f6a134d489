import os
import shutil
import threading
import unittest
import zipfile
from unittest import mock

import support
import registry
from errors import SetupError


class Registry(support.WithCache):
    def test_progress_counts_bytes_while_folders_come_and_go(self):
        stop = threading.Event()

        def come_and_go():
            while not stop.is_set():
                inner = self.folder / "pip" / "a" / "b"
                inner.mkdir(parents=True, exist_ok=True)
                (inner / "file").write_bytes(b"1234")
                shutil.rmtree(self.folder / "pip")

        thread = threading.Thread(target=come_and_go)
        thread.start()
        try:
            sizes = {registry._size(self.folder) for _ in range(3000)}
        finally:
            stop.set()
            thread.join()
        self.assertLessEqual(sizes, {0, 4})

    def test_an_unreachable_registry_is_an_error_with_a_mend(self):
        os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(self.folder))
        wheel = registry.Wheel("torch", "2.11.0", "0" * 64, 1, "any")
        with self.assertRaisesRegex(SetupError, "pip failed: .*torch==2.11.0") as raised:
            registry.download([wheel], self.folder, "downloading")
        self.assertIn("network", raised.exception.mend)

    def test_a_python_without_pip_is_told_how_to_get_it(self):
        with mock.patch("importlib.util.find_spec", return_value=None), self.assertRaisesRegex(
            SetupError, "has no pip"
        ) as raised:
            registry.download([], self.folder, "downloading")
        self.assertIn("python3-pip", raised.exception.mend)

    def test_only_what_is_wanted_is_unpacked(self):
        support.make_wheel(self.folder / "wheels", "thing", "1", {"a/x.h": "x", "b/y.h": "y"})
        registry.unpack(
            [self.folder / "wheels" / "thing-1-py3-none-any.whl"],
            lambda name: name.startswith("a/"),
            self.folder / "out",
            "unpacking",
        )
        self.assertEqual([path.name for path in (self.folder / "out").rglob("*") if path.is_file()], ["x.h"])
        self.assertEqual((self.folder / "out" / "a" / "x.h").read_text(), "x")

    def test_a_path_that_leaves_the_folder_is_refused(self):
        for name in ("../escape", "a/../../escape", "/tmp/graft-escape"):
            path = self.folder / "bad.whl"
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr(name, "x")
            with self.assertRaisesRegex(SetupError, "leaves its folder"):
                registry.unpack([path], lambda _: True, self.folder / "out", "unpacking")
            self.assertFalse((self.folder / "escape").exists())


if __name__ == "__main__":
    unittest.main()
