"""Graft installed into a folder of its own, and strangers who find it there by find_package(graft)."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BUILD, SOURCES = Path(os.environ["GRAFT_BUILD"]), Path(__file__).resolve().parent.parent.parent


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise AssertionError(f"{command} failed ({done.returncode}):\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        cls.prefix = cls.folder / "prefix"
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def build(self, components):
        """The folder in which what these components serve was built; nothing of the source tree's build is named to it."""
        build = self.folder / components.replace(";", "_")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GRAFT_")}
        run("cmake", "-S", Path(__file__).parent / "hosts", "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DCOMPONENTS={components}", f"-DSOURCES={SOURCES}", env=environment)  # fmt: skip
        run("cmake", "--build", build, env=environment)
        return build

    def installed(self, program, *arguments):
        state = {"GRAFT_STATE_DIR": str(self.folder / "state")}
        return run(self.prefix / "bin" / program, *arguments, env={**os.environ, **state})

    def test_an_author_builds_a_kernel_that_passes_the_check(self):
        build = self.build("plugin_api")
        repo = build / "repos" / "you" / "my-silu"
        self.assertIn("MySiLU", self.installed("graft", "check", repo))

    def test_what_graft_new_makes_builds_and_passes_the_check(self):
        for contract in ("RMSNorm/1", "SiLU", "attention/1", "paged_attention/1", "DecoderLayer/1"):
            with self.subTest(contract), tempfile.TemporaryDirectory(dir=self.folder) as made:
                made = Path(made) / "begun"
                self.installed("graft", "new", "you/first-try", "--contract", contract, "--entry", "FirstTry", "--into", made)
                run("cmake", "-S", made, "-B", made / "build", f"-DCMAKE_PREFIX_PATH={self.prefix}")
                run("cmake", "--build", made / "build")
                self.assertIn("FirstTry", self.installed("graft", "check", made / "build" / "repos" / "you" / "first-try"))

    def test_a_host_on_plain_buffers_runs_the_kernels_that_came_along(self):
        build = self.build("runtime")
        environment = {k: v for k, v in os.environ.items() if k not in ("HF_ENDPOINT", "GRAFT_HUB")}
        run(build / "plain_buffers", env={**environment, "GRAFT_STATE_DIR": str(self.folder / "state")})

    @unittest.skipUnless(os.environ.get("GRAFT_WITH_TORCH") == "ON", "built without LibTorch")
    def test_a_host_on_LibTorch_links_all_of_it(self):
        build = self.build("graft")
        self.assertIn("2 refused", run(build / "with_torch"))

    def test_a_component_that_is_not_there_is_named(self):
        with self.assertRaisesRegex(AssertionError, "frobnicate"):
            self.build("frobnicate")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
