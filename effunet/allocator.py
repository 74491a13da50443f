"""The C library's allocator, told to keep large blocks for a program that computes on a CPU.

glibc gives every large block back to the system at once and asks for it anew, so that each layer of
a network writes into memory whose pages the system must find and clear first.
"""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Of mallopt(3): free bytes at the end of the heap that stay; blocks outside of the heap."""


def keep_large_blocks() -> bool:
    """Keep freed blocks for the next ones, from now on and in this whole process.

    The program's memory then stays at its peak. Does nothing where the C library is not glibc.

    Returns:
        Whether the allocator took it.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        library = ctypes.CDLL(None)
        _ = library.gnu_get_libc_version
        mallopt = library.mallopt
    except (OSError, AttributeError):  # another C library
        return False
    taken = [mallopt(MMAP_MAX, 0), mallopt(TRIM_THRESHOLD, 2**31 - 1)]
    return all(result == 1 for result in taken)
