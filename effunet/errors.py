"""What can go wrong for a user, and the exit code that each kind ends a command with.

Everything raised on purpose in effunet for a user's fault is one of these: one line that says what,
where, and how to mend it. Any other exception is our own bug (exit code 1), unless it says that the
machine lacks memory, space or a permission.
"""

import errno
import sys

MISSING_RESOURCE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "the limit on a file's size is too low (ulimit -f)",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.EROFS: "it lies on a read-only file system: name another place",
    errno.ENOMEM: "free some memory",
}
"""Faults of the machine, not ours, and how to mend them."""

STOPPED = 130


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


def told(error: BaseException, trace: str = "effunet --debug ...") -> tuple[str, int]:
    """Whatever was raised, as one line for a person and the exit code that it ends a command with.

    Of a bug it says that `trace` shows where it came from.
    Looks torch's error up and imports nothing: where torch is not loaded, the error is not torch's.
    """
    out_of_memory = getattr(sys.modules.get("torch"), "OutOfMemoryError", MemoryError)
    match error:
        case EffunetError():
            return str(error), error.exit_code
        case KeyboardInterrupt():
            return "stopped", STOPPED
        case OSError() if error.errno in MISSING_RESOURCE:
            place = f"{error.filename}: " if error.filename else ""
            mend = MISSING_RESOURCE[error.errno]
            return f"{place}{error.strerror}: {mend}", ResourceError.exit_code
        case _ if isinstance(error, MemoryError | out_of_memory) or "can't allocate" in str(error):
            return "out of memory: use a smaller --tile, or --device cpu", ResourceError.exit_code
        case _:
            what = f"{type(error).__name__}: {error}"
            return f"a bug of effunet, sorry: {what} ({trace} shows where)", 1
