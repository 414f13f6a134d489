import contextlib
import io
import shutil
import subprocess
import sys
import unittest
from unittest import mock

import support
import build
from errors import SetupError

# No compiler: a target that fails on demand, and three tests of which one is labelled gpu and one threads.
PROJECT = """
cmake_minimum_required(VERSION 3.22)
project(small NONE)
enable_testing()
add_custom_target(works ALL COMMAND ${CMAKE_COMMAND} -E echo worked)
add_custom_target(fails COMMAND ${CMAKE_COMMAND} -E echo the reason COMMAND ${CMAKE_COMMAND} -E false)
add_custom_target(show ALL COMMAND env)
add_custom_target(thread_tests COMMAND ${CMAKE_COMMAND} -E echo built for threads)
add_test(NAME on_threads COMMAND ${CMAKE_COMMAND} -E true)
set_tests_properties(on_threads PROPERTIES LABELS threads)
add_test(NAME passes COMMAND ${CMAKE_COMMAND} -E true)
add_test(NAME on_gpu COMMAND ${CMAKE_COMMAND} -E false)
set_tests_properties(on_gpu PROPERTIES LABELS gpu)
"""


class Build(support.WithCache):
    def setUp(self):
        super().setUp()
        (self.folder / "CMakeLists.txt").write_text(PROJECT)
        shutil.copy(build.SOURCE / "CMakePresets.json", self.folder)
        patch = mock.patch.object(build, "SOURCE", self.folder)
        patch.start()
        self.addCleanup(patch.stop)

    def quietly(self, function, *arguments):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            function(*arguments)
        return out.getvalue()

    def test_configures_once_and_again_when_the_settings_change(self):
        self.assertIn("Configuring build", self.quietly(build.configure))
        self.assertEqual(self.quietly(build.configure), "")
        with mock.patch.dict("os.environ", {"LIBTORCH": "/elsewhere"}):
            self.assertIn("Configuring build", self.quietly(build.configure))
        presets = self.folder / "CMakePresets.json"
        self.assertIn("Configuring build", self.quietly(build.configure))
        presets.write_text(presets.read_text() + "\n")
        self.assertIn("Configuring build", self.quietly(build.configure))

    def test_a_configure_that_failed_is_shown_whole_and_tried_again(self):
        (self.folder / "CMakeLists.txt").write_text(PROJECT + 'message(FATAL_ERROR "no such thing")\n')
        for _ in range(2):
            with self.assertRaisesRegex(SetupError, "no such thing"):
                self.quietly(build.configure)

    def test_a_build_that_fails_shows_its_output_and_where_it_stands(self):
        self.quietly(build.configure)
        self.quietly(build.build, "default", ["works"])
        with self.assertRaisesRegex(SetupError, "the reason") as raised:
            self.quietly(build.build, "default", ["fails"])
        self.assertIn("build/build.log", raised.exception.mend)

    def test_the_exit_code_is_ctests(self):
        self.quietly(build.configure)
        with mock.patch("subprocess.run", side_effect=lambda command, **more: real_run([*command, "--quiet"], **more)):
            self.assertEqual(build.test("default", ["--label-exclude", "gpu"]), 0)
            self.assertNotEqual(build.test("default", []), 0)
            self.assertNotEqual(build.test("default", ["--tests-regex", "none_of_that_name"]), 0)

    def test_each_sanitizer_has_a_folder_flags_and_options_of_its_own(self):
        for preset, flags, options in (
            ("default", None, None),
            (build.SANITIZERS["address"], "-fsanitize=address,undefined ", "detect_leaks=0"),
            (build.SANITIZERS["thread"], "-fsanitize=thread ", "thread_sanitizer.supp"),
        ):
            self.quietly(build.configure, preset)
            cache = (build.folder_of(preset) / "CMakeCache.txt").read_text()
            self.assertEqual("-fsanitize" in cache, flags is not None, preset)
            self.assertIn(f"CMAKE_CXX_FLAGS:UNINITIALIZED={flags}" if flags else "CMAKE_GENERATOR", cache)
            self.quietly(build.build, preset, ["show"])
            log = (build.folder_of(preset) / "build.log").read_text()
            self.assertEqual("SAN_OPTIONS" in log, options is not None, preset)
            self.assertIn(options or "", log)

    def test_under_thread_sanitizer_only_what_threads_share_is_built_and_run(self):
        preset = build.SANITIZERS["thread"]
        self.quietly(build.configure, preset)
        self.quietly(build.build, preset)
        self.assertIn("built for threads", (build.folder_of(preset) / "build.log").read_text())
        with mock.patch("subprocess.run", side_effect=lambda command, **more: real_run([*command, "--quiet"], **more)):
            self.assertEqual(build.test(preset, []), 0)  # on_gpu, which fails, has another label

    def test_an_error_is_told_with_its_mend_and_an_interrupt_without_a_traceback(self):
        for raised, code, word in (
            (SetupError("it broke", "do this"), 1, "do this"),
            (KeyboardInterrupt(), 130, "interrupted"),
        ):
            error = io.StringIO()
            with contextlib.redirect_stderr(error):
                self.assertEqual(build.told(mock.Mock(side_effect=raised)), code)
            self.assertIn(word, error.getvalue())


class Tools(support.WithCache):
    def run_tool(self, name, *words):
        command = [sys.executable, "-B", str(support.SETUP.parent / name), *words]
        return subprocess.run(command, capture_output=True, text=True)

    def test_help_has_examples(self):
        for name in ("demo", "test", "setup"):
            done = self.run_tool(name, "--help")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("Examples:", done.stdout)

    def test_a_wrong_word_is_wrong_usage(self):
        for name in ("demo", "test", "setup"):
            done = self.run_tool(name, "--bogus")
            self.assertEqual(done.returncode, 2)
            self.assertIn("--bogus", done.stderr)

    def test_a_sanitizer_is_one_of_those_there_are(self):
        done = self.run_tool("test", "--sanitize", "memory")
        self.assertEqual(done.returncode, 2)
        self.assertIn("address", done.stderr)
        self.assertIn("thread", done.stderr)

    def test_no_install_says_what_is_missing_and_builds_nothing(self):
        for name in ("demo", "test"):
            done = self.run_tool(name, "--no-install")  # with an empty cache, so at least the model is missing
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("SmolLM2-135M-Instruct", done.stdout)
            self.assertNotIn("Configuring", done.stdout)


real_run = subprocess.run

if __name__ == "__main__":
    unittest.main()
