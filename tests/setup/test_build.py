import contextlib
import io
import subprocess
import sys
import unittest
from unittest import mock

import support
import build
from errors import SetupError

# No compiler: a target that fails on demand, and two tests of which one is labelled gpu.
PROJECT = """
cmake_minimum_required(VERSION 3.22)
project(small NONE)
enable_testing()
add_custom_target(works ALL COMMAND ${CMAKE_COMMAND} -E echo worked)
add_custom_target(fails COMMAND ${CMAKE_COMMAND} -E echo the reason COMMAND ${CMAKE_COMMAND} -E false)
add_test(NAME passes COMMAND ${CMAKE_COMMAND} -E true)
add_test(NAME on_gpu COMMAND ${CMAKE_COMMAND} -E false)
set_tests_properties(on_gpu PROPERTIES LABELS gpu)
"""


class Build(support.WithCache):
    def setUp(self):
        super().setUp()
        (self.folder / "CMakeLists.txt").write_text(PROJECT)
        for name, value in (
            ("SOURCE", self.folder),
            ("BUILD", self.folder / "build"),
            ("SANITIZED", self.folder / "build" / "sanitize"),
        ):
            patch = mock.patch.object(build, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def quietly(self, function, *arguments):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            function(*arguments)
        return out.getvalue()

    def test_configures_once_and_again_when_the_settings_change(self):
        self.assertIn("Configuring build", self.quietly(build.configure, build.BUILD))
        self.assertEqual(self.quietly(build.configure, build.BUILD), "")
        with mock.patch.dict("os.environ", {"LIBTORCH": "/elsewhere"}):
            self.assertIn("Configuring build", self.quietly(build.configure, build.BUILD))

    def test_a_configure_that_failed_is_shown_whole_and_tried_again(self):
        (self.folder / "CMakeLists.txt").write_text(PROJECT + 'message(FATAL_ERROR "no such thing")\n')
        for _ in range(2):
            with self.assertRaisesRegex(SetupError, "no such thing"):
                self.quietly(build.configure, build.BUILD)

    def test_a_build_that_fails_shows_its_output_and_where_it_stands(self):
        self.quietly(build.configure, build.BUILD)
        self.quietly(build.build, build.BUILD, ["works"])
        with self.assertRaisesRegex(SetupError, "the reason") as raised:
            self.quietly(build.build, build.BUILD, ["fails"])
        self.assertIn("build/build.log", raised.exception.mend)

    def test_the_exit_code_is_ctests(self):
        self.quietly(build.configure, build.BUILD)
        with mock.patch("subprocess.run", side_effect=lambda command, **more: real_run([*command, "--quiet"], **more)):
            self.assertEqual(build.test(build.BUILD, ["--label-exclude", "gpu"]), 0)
            self.assertNotEqual(build.test(build.BUILD, []), 0)
            self.assertNotEqual(build.test(build.BUILD, ["--tests-regex", "none_of_that_name"]), 0)

    def test_sanitizers_have_a_folder_and_flags_of_their_own(self):
        self.assertTrue(any("-fsanitize=address,undefined" in word for word in build._settings(build.SANITIZED)))
        self.assertFalse(any("-fsanitize" in word for word in build._settings(build.BUILD)))
        self.assertEqual(build.sanitizer_options(build.BUILD), {})
        self.assertIn("ASAN_OPTIONS", build.sanitizer_options(build.SANITIZED))

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

    def test_no_install_says_what_is_missing_and_builds_nothing(self):
        for name in ("demo", "test"):
            done = self.run_tool(name, "--no-install")  # with an empty cache, so at least the model is missing
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("SmolLM2-135M-Instruct", done.stdout)
            self.assertNotIn("Configuring", done.stdout)


real_run = subprocess.run

if __name__ == "__main__":
    unittest.main()
