"""The one exception of the set-up."""


class SetupError(Exception):
    """What failed and why, and what the person at the keyboard can do about it."""

    def __init__(self, what, mend):
        super().__init__(what)
        self.mend = mend
