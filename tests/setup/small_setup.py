"""Run by test_libtorch.py in a process of its own: sets up LibTorch from the small wheels of the folder argv[1].

argv[2] == "stall": stops half-way through unpacking, says so, and waits to be killed.
"""

import signal
import sys
import time
from pathlib import Path

import support
import libtorch

# A ctest in the background hands on an ignored SIGINT; a person's terminal does not.
signal.signal(signal.SIGINT, signal.default_int_handler)
libtorch.WHEELS = support.small_wheels(Path(sys.argv[1]))
libtorch._of_python = lambda: None
if sys.argv[2:] == ["stall"]:
    unpack = libtorch.registry.unpack

    def stall(wheels, wanted, folder, label):
        unpack(wheels[:1], wanted, folder, label)
        print("half-way", flush=True)
        time.sleep(60)

    libtorch.registry.unpack = stall
libtorch.install()
