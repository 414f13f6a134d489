"""Configuring, building and testing: what tools/demo and tools/test have in common."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import headers
from errors import SetupError
from progress import Progress

SOURCE = Path(__file__).resolve().parent.parent.parent
BUILD = SOURCE / "build"
SANITIZERS = {"address": "asan", "thread": "tsan"}  # their presets in CMakePresets.json
# Without its sloppiness ccache caches no file that uses a precompiled header; set here, a plain `ninja` has it too.
CCACHE = "env;CCACHE_SLOPPINESS=pch_defines,time_macros;ccache"
STEP = re.compile(r"\[(\d+)/(\d+)\] ")


def set_up(no_install):
    """Runs tools/setup as its own program; its exit code is the caller's if it is not 0."""
    command = [sys.executable, str(SOURCE / "tools" / "setup"), *(["--no-install"] if no_install else [])]
    return subprocess.run(command, cwd=SOURCE).returncode


def folder_of(preset):
    """Where the preset of CMakePresets.json is built."""
    presets = json.loads((SOURCE / "CMakePresets.json").read_text())["configurePresets"]
    where = next(one["binaryDir"] for one in presets if one["name"] == preset)
    return Path(where.replace("${sourceDir}", str(SOURCE)))


def _settings():
    """What this machine has to offer: no preset can know it."""
    settings = []
    if shutil.which("ccache"):
        settings += [f"-DCMAKE_C_COMPILER_LAUNCHER={CCACHE}", f"-DCMAKE_CXX_COMPILER_LAUNCHER={CCACHE}"]
    linker = next((name for name, program in (("mold", "mold"), ("lld", "ld.lld")) if shutil.which(program)), None)
    if linker:
        settings += [f"-DCMAKE_{kind}_LINKER_FLAGS=-fuse-ld={linker}" for kind in ("EXE", "SHARED", "MODULE")]
    return settings


def _jobs():
    """As many compilers at once as there are cores, but no more than have 2 GB each: LibTorch's headers take that."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)), int(memory / 2e9)))


def configure(preset="default"):
    """CMake, if it has not run with these settings before. What changes in CMakeLists.txt ninja sees by itself."""
    folder, settings = folder_of(preset), _settings()
    remembered = folder / ".settings.json"
    key = json.dumps(
        {
            "settings": settings,
            "presets": (SOURCE / "CMakePresets.json").read_text(),
            "LIBTORCH": os.environ.get("LIBTORCH"),
            "cache": os.environ.get("XDG_CACHE_HOME"),
            "headers": [(os.environ.get(part.variable), part.folder().exists()) for part in headers.ALL],
        }
    )
    if (folder / "build.ninja").exists() and remembered.exists() and remembered.read_text() == key:
        return
    folder.mkdir(parents=True, exist_ok=True)
    print(f"Configuring {folder.relative_to(SOURCE)}", flush=True)
    log = folder / "configure.log"
    with open(log, "w") as out:
        code = subprocess.run(
            ["cmake", "--preset", preset, *settings], cwd=SOURCE, stdout=out, stderr=subprocess.STDOUT
        ).returncode
    if code != 0:
        raise SetupError(
            f"cmake failed (exit {code}); its output:\n{log.read_text()}",
            "Mend what it names. A stale build folder is mended by removing build/.",
        )
    remembered.write_text(key)


def build(preset="default", targets=()):
    """Builds the targets (the preset's if none is named), showing how many steps are done; all output if it fails."""
    folder = folder_of(preset)
    log = folder / "build.log"
    command = [
        "cmake",
        "--build",
        "--preset",
        preset,
        "--parallel",
        str(_jobs()),
        *(["--target", *targets] if targets else []),
    ]
    progress = None
    with open(log, "w") as out, subprocess.Popen(
        command,
        cwd=SOURCE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "NINJA_STATUS": "[%f/%t] "},
    ) as process:
        for line in process.stdout:
            out.write(line)
            step = STEP.match(line)
            if step:
                done, total = int(step[1]), int(step[2])
                # The total grows when ninja finds out that CMake has to run again.
                progress = (
                    progress
                    if progress and progress.total == total
                    else Progress(f"building {folder.relative_to(SOURCE)}", total, "steps")
                )
                progress.at(done)
    if process.returncode != 0:
        raise SetupError(
            f"the build failed (exit {process.returncode}); its output:\n{log.read_text(errors='replace')}",
            f"Mend what it names and run this again; it goes on where it stopped. (The output again: {log.relative_to(SOURCE)})",
        )
    if progress:
        progress.done()


def test(preset, arguments):
    """ctest, whose closing line is the last thing printed; its exit code."""
    command = [
        "ctest",
        "--preset",
        preset,
        "--parallel",
        str(_jobs()),
        "--no-tests=error",
        *arguments,
    ]
    return subprocess.run(command, cwd=SOURCE).returncode


def told(main):
    """Runs a tool's main; an error is told with its mend, an interrupt ends without a traceback."""
    try:
        return main()
    except SetupError as error:
        print(f"\n{Path(sys.argv[0]).name}: {error}\n  {error.mend}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; run it again to go on", file=sys.stderr)
        return 130
