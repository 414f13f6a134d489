import os
import unittest
from pathlib import Path
from unittest import mock

import support
import system
from errors import SetupError

DEBIAN_12 = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
UBUNTU_24 = 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nID=ubuntu\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n'
MINT_22 = 'PRETTY_NAME="Linux Mint 22"\nID=linuxmint\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n'
FEDORA = 'PRETTY_NAME="Fedora Linux 41"\nID=fedora\nVERSION_CODENAME=""\n'


class Distribution(support.WithCache):
    def read(self, text):
        path = self.folder / "os-release"
        path.write_text(text)
        return system.distribution(path)

    def test_the_two_that_are_known(self):
        self.assertEqual(self.read(DEBIAN_12), ("bookworm", "Debian GNU/Linux 12 (bookworm)"))
        self.assertEqual(self.read(UBUNTU_24), ("noble", "Ubuntu 24.04.1 LTS"))

    def test_a_derivative_goes_by_ubuntus_codename(self):
        self.assertEqual(self.read(MINT_22)[0], "noble")

    def test_another_has_a_name_and_no_codename(self):
        self.assertEqual(self.read(FEDORA), ("", "Fedora Linux 41"))

    def test_none_at_all(self):
        self.assertEqual(system.distribution(Path("/nowhere/os-release")), ("", "this system"))


class Packages(support.WithCache):
    def with_boost(self, version):
        header = self.folder / "include" / "boost" / "version.hpp"
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text(f"// Boost\n#define BOOST_VERSION {version}\n")
        return [self.folder / "include"]

    def lacking(self, folders, codename="bookworm"):
        with mock.patch.object(system, "distribution", return_value=(codename, "a system")):
            return system.packages(folders)

    def test_an_empty_machine_lacks_every_header_package(self):
        lacking = self.lacking([])
        headers = {need.package for need in system.NEEDS if need.header} - {"boost"}
        self.assertLessEqual(headers | {"libboost1.81-dev"}, set(lacking))

    def test_boost_goes_by_the_release(self):
        self.assertIn("libboost1.83-dev", self.lacking([], "noble"))
        self.assertIn("Boost 1.81 or later, with Boost.DLL", self.lacking([], ""))

    def test_a_boost_that_is_too_old_counts_as_missing(self):
        self.assertIn("libboost1.81-dev", self.lacking(self.with_boost(107400)))
        self.assertNotIn("libboost1.81-dev", self.lacking(self.with_boost(108100)))
        self.assertNotIn("libboost1.81-dev", self.lacking(self.with_boost(108300)))

    def test_a_program_that_does_as_well_counts(self):
        mold = next(need for need in system.NEEDS if need.package == "mold")
        with mock.patch("shutil.which", side_effect=lambda name: "/usr/bin/ld.lld" if name == "ld.lld" else None):
            self.assertTrue(system.present(mold, []))
        with mock.patch("shutil.which", return_value=None):
            self.assertFalse(system.present(mold, []))

    def test_what_is_missing_is_said_in_one_line_with_the_names(self):
        with mock.patch.object(system, "packages", return_value=["g++", "cmake"]):
            self.assertEqual(system.missing(), ["2 system packages: g++, cmake"])
        with mock.patch.object(system, "packages", return_value=[]):
            self.assertEqual(system.missing(), [])


class Install(support.WithCache):
    def patched(self, codename, user=0, programs=()):
        for patch in (
            mock.patch.object(system, "distribution", return_value=(codename, "Fedora Linux 41")),
            mock.patch.object(system, "packages", return_value=["g++", "cmake"]),
            mock.patch("os.geteuid", return_value=user),
            mock.patch("shutil.which", side_effect=lambda name: name if name in programs else None),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    def test_the_commands_are_those_that_install(self):
        self.patched("bookworm", user=1000, programs=["apt-get", "sudo"])
        self.assertEqual(
            system.commands(), ["sudo apt-get update", "sudo apt-get install --yes --no-install-recommends g++ cmake"]
        )

    def test_root_needs_no_sudo(self):
        self.patched("bookworm", programs=["apt-get"])
        self.assertEqual(system.commands()[0], "apt-get update")

    def test_another_distribution_gets_the_list(self):
        self.patched("")
        with self.assertRaisesRegex(
            SetupError, "Fedora Linux 41 is neither Debian 12 nor Ubuntu 24.04.*g\\+\\+, cmake"
        ) as raised:
            system.install()
        self.assertIn("Debian's", raised.exception.mend)
        self.assertIn("Fedora Linux 41", system.commands()[0])

    def test_neither_root_nor_sudo_gets_the_commands_for_root(self):
        self.patched("bookworm", user=1000, programs=["apt-get"])
        with self.assertRaisesRegex(SetupError, "neither root nor sudo") as raised:
            system.install()
        self.assertIn("apt-get install", raised.exception.mend)

    def apt_get(self, script):
        """A stand-in for apt-get on PATH"""
        path = self.folder / "bin" / "apt-get"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        os.environ["PATH"] = f"{path.parent}:{os.environ['PATH']}"

    def installing(self, before_and_after):
        with mock.patch.object(system, "distribution", return_value=("bookworm", "Debian 12")), mock.patch(
            "os.geteuid", return_value=0
        ), mock.patch.object(system, "packages", side_effect=before_and_after):
            system.install()

    def test_apt_installs_what_is_missing(self):
        self.apt_get(f'echo "$@" >> {self.folder}/calls; echo pmstatus:g++:50.0:Installing >&3')
        self.installing([["g++"], []])
        calls = (self.folder / "calls").read_text().splitlines()
        self.assertTrue(calls[0].endswith(" update"), calls)
        self.assertTrue(calls[1].endswith(" install --yes --no-install-recommends g++"), calls)

    def test_apts_own_error_is_passed_on(self):
        self.apt_get('echo "E: Unable to locate package g++"; exit 100')
        with self.assertRaisesRegex(SetupError, "apt-get update failed: E: Unable to locate package g\\+\\+") as raised:
            self.installing([["g++"], ["g++"]])
        self.assertIn("apt-get install", raised.exception.mend)

    def test_a_package_that_is_still_not_found_after_apt_is_named(self):
        self.apt_get("true")
        with self.assertRaisesRegex(SetupError, "g\\+\\+ cannot be found on Debian 12"):
            self.installing([["g++"], ["g++"]])

    def test_what_another_run_installed_meanwhile_is_not_installed_again(self):
        self.apt_get("exit 1")
        self.assertIsNone(self.installing([[]]))


if __name__ == "__main__":
    unittest.main()
