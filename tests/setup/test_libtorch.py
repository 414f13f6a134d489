import os
import signal
import subprocess
import sys
import unittest
from unittest import mock

import support
import cache
import libtorch
from errors import SetupError


class Locate(support.WithCache):
    """LIBTORCH, then python3's torch, then the cache"""

    def setUp(self):
        super().setUp()
        self.of_python = None
        patch = mock.patch.object(libtorch, "_of_python", lambda: self.of_python)
        patch.start()
        self.addCleanup(patch.stop)

    def fill_cache(self):
        with cache.making(libtorch.cached(), libtorch.RECIPE, 1) as (content, _):
            support.make_libtorch(content / "torch")

    def test_nothing_is_found_on_a_fresh_machine(self):
        self.assertIsNone(libtorch.located())
        self.assertEqual(libtorch.missing(), [libtorch.TITLE])

    def test_the_cache_is_found(self):
        self.fill_cache()
        self.assertEqual(libtorch.located(), (libtorch.cached() / "torch", "the user's cache"))
        self.assertEqual(libtorch.missing(), [])

    def test_pythons_torch_comes_before_the_cache(self):
        self.fill_cache()
        self.of_python = support.make_libtorch(self.folder / "python" / "torch")
        self.assertEqual(libtorch.located(), (self.of_python, "the torch of python3"))

    def test_pythons_torch_of_another_version_is_passed_over(self):
        self.of_python = support.make_libtorch(self.folder / "python" / "torch", "2.10.1")
        self.assertIsNone(libtorch.located())

    def test_LIBTORCH_comes_first(self):
        self.of_python = support.make_libtorch(self.folder / "python" / "torch")
        named = support.make_libtorch(self.folder / "named")
        os.environ["LIBTORCH"] = str(named)
        self.assertEqual(libtorch.located(), (named, "LIBTORCH"))

    def test_a_wrong_LIBTORCH_is_an_error_even_if_another_is_there(self):
        self.fill_cache()
        os.environ["LIBTORCH"] = str(self.folder / "nowhere")
        with self.assertRaisesRegex(SetupError, "LIBTORCH is set, but .*nowhere has no") as raised:
            libtorch.located()
        self.assertIn("unset it", raised.exception.mend)

    def test_a_LIBTORCH_of_another_version_says_which(self):
        os.environ["LIBTORCH"] = str(support.make_libtorch(self.folder / "named", "2.9.0"))
        with self.assertRaisesRegex(SetupError, "is version 2.9.0, not 2.11"):
            libtorch.located()

    def test_a_cuda_build_without_its_runtime_is_no_use(self):
        folder = support.make_libtorch(self.folder / "torch")
        (folder / "lib" / "libtorch_cuda.so").write_text("cuda")
        with mock.patch.object(libtorch, "_cuda_runtime", return_value=[]):
            self.assertIn("libcudart", libtorch.flaw(folder))
        beside = self.folder / "nvidia" / "cu13" / "lib"
        beside.mkdir(parents=True)
        (beside / "libcudart.so.13").write_text("cudart")
        self.assertIsNone(libtorch.flaw(folder))

    def test_a_corrupt_cache_counts_as_missing(self):
        self.fill_cache()
        (libtorch.cached() / "torch" / "lib" / "libtorch_cpu.so").write_text("half")
        self.assertIsNone(libtorch.located())


class Install(support.WithCache):
    """The whole way, with small wheels in processes of their own"""

    def start(self, *arguments):
        command = [sys.executable, "-B", str(support.HERE / "small_setup.py"), str(self.folder / "wheels"), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(process.stdout.close)
        return process

    def assert_whole(self):
        self.assertIsNone(cache.flaw(libtorch.cached(), libtorch.RECIPE))
        self.assertIsNone(libtorch.flaw(libtorch.cached() / "torch"))
        self.assertTrue((libtorch.cached() / "nvidia/cu13/lib/libcudart.so.13").exists())
        self.assertEqual(self.leftovers(), [])

    def test_an_empty_cache_is_filled_with_what_is_wanted_and_no_more(self):
        process = self.start()
        self.assertEqual(process.wait(60), 0, process.stdout.read())
        self.assert_whole()
        self.assertFalse((libtorch.cached() / "torch" / "nn").exists())
        self.assertFalse((libtorch.cached() / "nvidia/cu13/include").exists())

    def test_a_corrupt_cache_is_mended(self):
        (libtorch.cached() / "torch").mkdir(parents=True)
        process = self.start()
        self.assertEqual(process.wait(60), 0, process.stdout.read())
        self.assert_whole()

    def test_a_kill_while_unpacking_leaves_nothing_half_and_the_next_run_goes_through(self):
        process = self.start("stall")
        while "half-way" not in process.stdout.readline():
            self.assertIsNone(process.poll(), "it ended before it could be killed")
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        self.assertFalse(libtorch.cached().exists())
        process = self.start()
        self.assertEqual(process.wait(60), 0, process.stdout.read())
        self.assert_whole()

    def test_an_interrupt_while_unpacking_clears_what_was_begun(self):
        process = self.start("stall")
        while "half-way" not in process.stdout.readline():
            self.assertIsNone(process.poll(), "it ended before it could be interrupted")
        process.send_signal(signal.SIGINT)
        self.assertNotEqual(process.wait(60), 0)
        self.assertFalse(libtorch.cached().exists())
        self.assertEqual(self.leftovers(), [])

    def test_of_two_at_once_one_waits_and_finds_the_work_done(self):
        first = self.start("stall")
        while "half-way" not in first.stdout.readline():
            self.assertIsNone(first.poll(), "it ended before the second could start")
        second = self.start()
        self.assertIn("another set-up is at work on libtorch", second.stdout.readline())
        third = self.start()
        self.assertIn("another set-up is at work on libtorch", third.stdout.readline())
        first.kill()
        first.wait(60)
        self.assertEqual((second.wait(60), third.wait(60)), (0, 0))
        downloads = (second.stdout.read() + third.stdout.read()).count("downloading LibTorch")
        self.assertEqual(downloads, 1)
        self.assert_whole()

    def test_a_wheel_with_another_hash_is_refused_and_nothing_is_left(self):
        wheels = support.small_wheels(self.folder / "wheels")
        wrong = [*wheels[:2], libtorch.registry.Wheel(wheels[2].name, wheels[2].version, "0" * 64, 1, "any")]
        with mock.patch.object(libtorch, "WHEELS", wrong), mock.patch.object(
            libtorch, "_of_python", lambda: None
        ), self.assertRaisesRegex(SetupError, "pip failed"):
            libtorch.install()
        self.assertFalse(libtorch.cached().exists())
        self.assertEqual(self.leftovers(), [])

    def test_another_processor_is_told_what_to_do(self):
        with mock.patch("platform.machine", return_value="riscv64"), self.assertRaisesRegex(
            SetupError, "Linux on riscv64"
        ) as raised:
            libtorch.install()
        self.assertIn("LIBTORCH", raised.exception.mend)


if __name__ == "__main__":
    unittest.main()
