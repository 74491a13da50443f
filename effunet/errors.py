"""What can go wrong for a user, and the exit code that each kind ends a command with.

Everything raised on purpose in effunet for a user's fault is one of these: one line that says what,
where, and how to mend it. Any other exception is our own bug (exit code 1).
"""


class EffunetError(Exception):
    """A fault that the user can mend; its text is one line: what, where, how to mend it."""

    exit_code = 1


class UsageError(EffunetError):
    """A command line or config that cannot be meant: unknown key, wrong type, out of range."""

    exit_code = 2


class DataError(EffunetError):
    """A dataset that cannot be used: missing, unreadable or contradictory files."""

    exit_code = 3


class ModelError(EffunetError):
    """A segmenter, checkpoint or weight file that is refused or does not fit."""

    exit_code = 4


class ResourceError(EffunetError):
    """Memory, disk or permission is missing."""

    exit_code = 5


class DivergedError(EffunetError):
    """The training lost its numbers (not finite) and stopped."""

    exit_code = 6
