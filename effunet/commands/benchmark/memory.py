"""The memory of this process, now and at its peak, in bytes: the system's count, or the GPU's."""

import os
import sys
from contextlib import suppress
from pathlib import Path


def forget_peak(device: str) -> None:
    """Count the peak from now on, where the system can (Linux and CUDA)."""
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def in_use(device: str) -> int | None:
    """Bytes in use now; where the system tells the peak alone, that."""
    if device == "cuda":
        import torch

        return torch.cuda.memory_allocated()
    return _status("VmRSS") or peak(device)


def peak(device: str) -> int | None:
    """Bytes at the peak; None where the system does not tell (Windows)."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    if (found := _status("VmHWM")) is not None:
        return found
    if os.name != "posix":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def _status(key: str) -> int | None:
    """A value of /proc/self/status, which getrusage's would mix with that of the parent."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{key}:"):
                return 1024 * int(line.split()[1])
    return None
