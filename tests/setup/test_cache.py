import os
import unittest
from pathlib import Path
from unittest import mock

import support
import cache
from errors import SetupError


class Cache(support.WithCache):
    def make(self, text="content", recipe="r1", needed=1):
        target = cache.root() / "thing"
        with cache.locked("thing"), cache.making(target, recipe, needed) as (content, _):
            (content / "sub").mkdir()
            (content / "sub" / "file").write_text(text)
        return target

    def test_a_folder_that_was_made_has_no_flaw(self):
        target = self.make()
        self.assertIsNone(cache.flaw(target, "r1"))
        self.assertEqual((target / "sub" / "file").read_text(), "content")
        self.assertEqual(self.leftovers(), [])

    def test_a_folder_that_is_not_there_is_a_flaw(self):
        self.assertEqual(cache.flaw(cache.root() / "thing", "r1"), "is not there")

    def test_a_truncated_file_is_a_flaw_and_is_named(self):
        target = self.make()
        (target / "sub" / "file").write_text("con")
        self.assertIn("sub/file", cache.flaw(target, "r1"))

    def test_a_missing_file_is_a_flaw_and_is_named(self):
        target = self.make()
        (target / "sub" / "file").unlink()
        self.assertIn("file is missing", cache.flaw(target, "r1"))

    def test_a_folder_without_a_stamp_is_a_flaw(self):
        target = self.make()
        (target / cache.STAMP).unlink()
        self.assertIn("missing", cache.flaw(target, "r1"))

    def test_an_unreadable_stamp_is_a_flaw(self):
        target = self.make()
        for text in ("", "{", "[]", "null", '{"recipe": "r1"}', '{"recipe": "r1", "files": []}'):
            (target / cache.STAMP).write_text(text)
            self.assertIn("stamp cannot be read", cache.flaw(target, "r1"), text)

    def test_another_recipe_is_a_flaw_that_names_both(self):
        self.assertEqual(cache.flaw(self.make(), "r2"), "was made by r1, not by r2")

    def test_making_again_replaces_a_flawed_folder_whole(self):
        target = self.make("old")
        (target / "stray").write_text("stray")
        self.make("new", "r2")
        self.assertIsNone(cache.flaw(target, "r2"))
        self.assertFalse((target / "stray").exists())

    def test_a_failure_leaves_what_was_there(self):
        target = self.make("old")
        with self.assertRaises(ZeroDivisionError), cache.making(target, "r2", 1) as (content, _):
            (content / "half").write_text("half")
            1 / 0
        self.assertIsNone(cache.flaw(target, "r1"))
        self.assertEqual(self.leftovers(), [])

    def test_the_remains_of_a_killed_process_are_cleared(self):
        remains = cache.root() / ".thing.partial" / "content"
        remains.mkdir(parents=True)
        (remains / "half").write_text("half")
        self.assertFalse((self.make() / "half").exists())
        self.assertEqual(self.leftovers(), [])

    def test_too_little_space_is_said_before_anything_is_written(self):
        with self.assertRaisesRegex(SetupError, "GB are needed") as raised:
            self.make(needed=10**18)
        self.assertIn("XDG_CACHE_HOME", raised.exception.mend)
        self.assertFalse((cache.root() / "thing").exists())

    def test_a_cache_that_cannot_be_written_is_named(self):
        (self.folder / "cache").write_text("a file, not a folder")
        with self.assertRaisesRegex(SetupError, "cannot be written") as raised, cache.locked("thing"):
            pass
        self.assertIn("XDG_CACHE_HOME", raised.exception.mend)

    def test_the_cache_is_in_the_home_folder_unless_told_otherwise(self):
        self.assertEqual(cache.root(), self.folder / "cache" / "graft")
        with mock.patch.dict(os.environ, {"XDG_CACHE_HOME": "", "HOME": "/home/someone"}):
            self.assertEqual(cache.root(), Path("/home/someone/.cache/graft"))


if __name__ == "__main__":
    unittest.main()
