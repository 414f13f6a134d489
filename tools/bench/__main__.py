"""`python3 tools/bench cpu …` is `tools/bench/cpu …`; likewise gpu, hub and training."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = ("cpu", "gpu", "hub", "training")

if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
    asked_for_help = sys.argv[1:2] in (["-h"], ["--help"])
    print(f"Usage: python3 tools/bench {'|'.join(NAMES)} [--help] …", file=sys.stdout if asked_for_help else sys.stderr)
    sys.exit(0 if asked_for_help else 2)
os.execv(sys.executable, [sys.executable, str(HERE / sys.argv[1]), *sys.argv[2:]])
