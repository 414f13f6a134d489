"""Progress of long steps: one line that rewrites itself on a terminal, a line now and then in a log."""

import sys
import time


class Progress:
    """Shows `label: 120 of 530 MB, 14 s`; total and what is passed to `at` are in the unit named (bytes are shown as MB)."""

    def __init__(self, label, total, unit="MB", out=sys.stdout):
        self.label, self.total, self.unit, self.out = label, total, unit, out
        self.started = time.monotonic()
        self.live = out.isatty()
        self.interval = 0.2 if self.live else 10
        self.shown = self.started if not self.live else 0.0

    def _line(self, done):
        scale = 1e6 if self.unit == "MB" else 1
        return f"  {self.label}: {min(done, self.total) / scale:.0f} of {self.total / scale:.0f} {self.unit}, {time.monotonic() - self.started:.0f} s"

    def at(self, done):
        if done < self.total and time.monotonic() - self.shown >= self.interval:
            self.shown = time.monotonic()
            self.out.write(f"\r{self._line(done)}\033[K" if self.live else f"{self._line(done)}\n")
            self.out.flush()

    def done(self):
        self.out.write(f"\r{self._line(self.total)}\033[K\n" if self.live else f"{self._line(self.total)}\n")
        self.out.flush()
