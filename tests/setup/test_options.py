import contextlib
import importlib.util
import io
import os
import unittest
from unittest import mock

import support
import cache
import headers
import libtorch
import model
import peers
import system
from errors import SetupError

spec = importlib.util.spec_from_file_location("setup_main", support.SETUP / "__main__.py")
setup = importlib.util.module_from_spec(spec)
spec.loader.exec_module(setup)


class Options(support.WithCache):
    def run_setup(self, *words):
        out, error = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code = setup.main(list(words))
        return code, out.getvalue(), error.getvalue()

    def with_missing(self, *parts):
        for part in setup.PARTS + setup.FOR_CUDA:
            patch = mock.patch.object(part, "missing", return_value=[part.NAME] if part in parts else [])
            patch.start()
            self.addCleanup(patch.stop)

    def test_help_has_examples(self):
        code, out, _ = self.run_setup("--help")
        self.assertEqual(code, 0)
        self.assertIn("Examples:", out)

    def test_parts_run_in_their_order_whatever_the_order_of_the_words(self):
        self.assertEqual(setup.options(["--only", "model", "--only", "system"]), (False, [system, model]))

    def test_what_is_for_cuda_is_a_part_where_a_toolkit_is_or_where_it_is_named(self):
        parts = [system, libtorch, model, peers]
        for of_use, expected in ((False, parts), (True, parts + headers.ALL)):
            with mock.patch.object(headers, "of_use", return_value=of_use):
                self.assertEqual(setup.options([]), (False, expected))
                self.assertEqual(setup.options(["--only", "flashinfer"]), (False, [headers.FLASHINFER]))

    def test_wrong_words_are_wrong_usage(self):
        for words, named in ((["--only"], "None"), (["--only", "torch"], "torch"), (["--instal"], "--instal")):
            code, _, error = self.run_setup(*words)
            self.assertEqual(code, 2)
            self.assertIn(named, error)
            self.assertIn("--help", error)

    def test_no_install_lists_what_is_missing_with_commands_and_exits_2(self):
        self.with_missing(libtorch, model)
        code, out, _ = self.run_setup("--no-install")
        self.assertEqual(code, 2)
        self.assertIn("python3 tools/setup --only libtorch", out)
        self.assertIn("python3 tools/setup --only model", out)
        self.assertFalse((self.folder / "cache").exists())

    def test_no_install_exits_0_if_nothing_is_missing(self):
        self.with_missing()
        self.assertEqual(self.run_setup("--no-install"), (0, "", ""))

    def test_nothing_missing_installs_nothing_and_says_nothing(self):
        self.with_missing()
        with mock.patch.object(libtorch, "install", side_effect=AssertionError):
            self.assertEqual(self.run_setup(), (0, "", ""))

    def test_what_is_missing_is_installed_and_nothing_else(self):
        self.with_missing(model)
        with mock.patch.object(libtorch, "install", side_effect=AssertionError), mock.patch.object(
            model, "install"
        ) as install:
            code, out, _ = self.run_setup()
        self.assertEqual((code, install.call_count), (0, 1))
        self.assertIn("Setting up model", out)

    def test_an_error_names_the_thing_and_the_mend(self):
        self.with_missing(model)
        with mock.patch.object(model, "install", side_effect=SetupError("it broke", "do this")):
            code, _, error = self.run_setup()
        self.assertEqual(code, 1)
        self.assertIn("setup: it broke\n  do this", error)

    def test_an_interrupt_says_that_nothing_half_is_left(self):
        self.with_missing(model)
        with mock.patch.object(model, "install", side_effect=KeyboardInterrupt):
            code, _, error = self.run_setup()
        self.assertEqual(code, 130)
        self.assertIn("nothing half is left", error)

    def test_a_wrong_LIBTORCH_is_an_error_with_no_install_too(self):
        os.environ["LIBTORCH"] = "/nowhere"
        code, _, error = self.run_setup("--no-install", "--only", "libtorch")
        self.assertEqual(code, 1)
        self.assertIn("LIBTORCH is set, but", error)

    def test_a_model_is_missing_until_it_is_made(self):
        self.assertEqual(self.run_setup("--no-install", "--only", "model")[0], 2)
        with cache.making(model.folder(), model.RECIPE, 1) as (content, _):
            (content / "config.json").write_text("{}")
        self.assertEqual(self.run_setup("--no-install", "--only", "model")[0], 0)


if __name__ == "__main__":
    unittest.main()
