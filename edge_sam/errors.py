"""The exceptions that a user of this project is meant to read."""


class EdgeSamError(Exception):
    """Something outside the code is wrong: a file, a key, a setting, a disk.

    The message is one line: what was found, where, and what would be right. Commands print it without a traceback and
    exit with status 1; everything else that is raised is a bug.
    """

    reported_elsewhere: bool | None = None
    """Whether another process of the group prints this error; None when it was raised outside of a group."""


class NotFiniteError(EdgeSamError):
    """The network answers with NaN or infinity, of which empty masks, or none, would be made without a word."""

    def __init__(self) -> None:
        super().__init__("the network answers with NaN or infinity: look at its weights, and at their number format")
