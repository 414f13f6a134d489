"""Graft's version ranges against Python's packaging, on generated pairs. GRAFT_RANGE_CONTAINS names the program that answers
for Graft (tests/ref/range_contains.cpp)."""

import os
import random
import subprocess

from programs import PATIENCE
from support import Case, setUpModule  # noqa: F401  (unittest calls setUpModule)

PAIRS = 20_000


def number(draw):
    return str(draw.choice([0, 0, 1, 1, 2, 3, 9, 10, 11]))


def version(draw, most_numbers=4):
    text = ".".join(number(draw) for _ in range(draw.randint(1, most_numbers)))
    if draw.random() < 0.25:
        text += draw.choice(["a", "b", "rc", ".a", "-beta", "alpha", ".rc."]) + number(draw)
    if draw.random() < 0.15:
        text += draw.choice([".post", "-r", ".rev"]) + number(draw)
    if draw.random() < 0.15:
        text += draw.choice([".dev", "dev"]) + number(draw)
    return draw.choice(["", "", "v"]) + text


def bound(draw):
    operator = draw.choice(["==", "!=", "<=", ">=", "<", ">", "~=", "==*", "!=*"])
    if operator.endswith("*"):
        return operator[:2] + ".".join(number(draw) for _ in range(draw.randint(1, 3))) + ".*"
    if operator == "~=":
        return "~=" + ".".join(number(draw) for _ in range(draw.randint(2, 4)))
    return operator + version(draw).removeprefix("v")


class VersionRanges(Case):
    def test_hold_what_packaging_says(self):
        seed = random.SystemRandom().randrange(2**32)
        draw = random.Random(seed)
        pairs = [
            [",".join(bound(draw) for _ in range(draw.choice([1, 1, 1, 2, 2, 3]))), version(draw)] for _ in range(PAIRS)
        ]
        expected = self.kernels("contains", {"pairs": pairs})
        lines = "".join(f"{specifier}\t{text}\n" for specifier, text in pairs)
        said = subprocess.run(
            [os.environ["GRAFT_RANGE_CONTAINS"]], input=lines, capture_output=True, text=True, timeout=PATIENCE, check=True
        ).stdout.split()
        self.assertEqual(len(said), PAIRS)
        self.assertGreater(sum(expected), PAIRS // 20)
        differing = [
            f"{text} in {specifier}: packaging {theirs}, Graft {ours}"
            for (specifier, text), theirs, ours in zip(pairs, expected, said)
            if ours != ("1" if theirs else "0")
        ]
        self.assertEqual(differing[:20], [], f"{len(differing)} of {PAIRS} differ; seed {seed}")
