"""Sets up what Graft's build, demo and tests need and this machine lacks: system packages, LibTorch 2.11, a small
model, the Python clients of the Hub that Graft is tested against, and where there is a CUDA toolkit the headers of FlashInfer
and of cuDNN's frontend.

Usage: python3 tools/setup [--no-install] [--only PART]…

  --no-install   only print what is missing and the commands that would install it; exit 2 if anything is
  --only PART    system, libtorch, model, peers, flashinfer, cudnn_frontend, torch_python or fuzz; can be given more than
                 once; if not given the first four, and the next two where there is an nvcc

Examples:
  python3 tools/setup                     everything; the second time it returns at once
  python3 tools/setup --no-install        look first
  python3 tools/setup --only libtorch     LibTorch alone

Downloads come from Debian's or Ubuntu's packages and from PyPI, pinned by hash, into ${XDG_CACHE_HOME:-~/.cache}/graft.
LIBTORCH=/path/to/libtorch (include/ and lib/ in it) or a torch 2.11 of python3 is used instead of a download, and so are
FLASHINFER_INCLUDE and CUDNN_FRONTEND_INCLUDE, each a path to an include folder.
Exit: 0 all there, 1 failed, 2 something missing (--no-install) or wrong usage, 130 interrupted.
"""

import signal
import sys

import fuzz
import headers
import libtorch
import model
import peers
import system
import torch_python
from errors import SetupError

PARTS = [system, libtorch, model, peers]  # in this order: pip comes with the first, the others need it
FOR_CUDA = headers.ALL  # where a CUDA toolkit is, or with --only
ASKED_FOR = [torch_python, fuzz]  # with --only alone
ALL = PARTS + FOR_CUDA + ASKED_FOR


def options(arguments):
    """(no_install, parts); raises ValueError on a word it does not know"""
    no_install, chosen = False, []
    words = iter(arguments)
    for word in words:
        if word == "--no-install":
            no_install = True
        elif word == "--only":
            name = next(words, None)
            named = [part for part in ALL if part.NAME == name]
            if not named:
                raise ValueError(f"--only takes {', '.join(part.NAME for part in ALL)}, not {name}")
            chosen += named
        else:
            raise ValueError(f"unknown option {word}")
    return no_install, [part for part in ALL if part in chosen] or PARTS + (FOR_CUDA if headers.of_use() else [])


def list_missing(parts):
    lacking = [(part, what) for part in parts for what in part.missing()]
    if not lacking:
        return 0
    print("Missing on this machine:")
    for part, what in lacking:
        print(f"\n  {what}")
        for command in part.commands():
            print(f"      {command}")
    print("\nNothing was installed. To install all of it: python3 tools/setup")
    return 2


def install(parts):
    for part in parts:
        for what in part.missing():
            print(f"Setting up {what}", flush=True)
            part.install()
    return 0


def main(arguments):
    if any(word in ("-h", "--help") for word in arguments):
        print(__doc__.strip())
        return 0
    # A terminated set-up cleans up behind itself as an interrupted one does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        no_install, parts = options(arguments)
        return list_missing(parts) if no_install else install(parts)
    except ValueError as error:
        print(f"setup: {error}\nSee python3 tools/setup --help", file=sys.stderr)
        return 2
    except SetupError as error:
        print(f"\nsetup: {error}\n  {error.mend}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsetup: interrupted; nothing half is left, run it again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
