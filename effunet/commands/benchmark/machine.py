"""The machine that numbers are measured on: its processor, its cores, how busy it is; no torch."""

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

NOISE = 0.5
"""Cores that others may use without being told: a desktop, a shell."""


def usable_cores() -> list[int]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def can_pin() -> bool:
    """Whether this system lets a process choose its cores (Linux does)."""
    return hasattr(os, "sched_setaffinity")


def pins(cores: list[int]) -> dict[str, str]:
    """Variables that give OpenMP one thread on each of these cores and on no other."""
    threads = str(len(cores))
    found = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OMP_DYNAMIC": "false"}
    if can_pin():
        places = ",".join(f"{{{core}}}" for core in cores)
        found |= {"OMP_PROC_BIND": "close", "OMP_PLACES": places}
    return found


def described(cores: list[int]) -> dict[str, Any]:
    """Facts of this machine, plain JSON; the load average is that of now.

    Args:
        cores: those that the work will use.
    """
    load = [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None
    everything = os.cpu_count() or len(cores)
    return {
        "cpu": cpu_name(),
        "machine_cores": everything,
        "cores": cores,
        "pinned": can_pin(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": load,
        "busy": load is not None and load[0] > everything - len(cores) + NOISE,
    }


def cpu_name() -> str:
    """The processor's own name, or its architecture where the system does not tell it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def available_memory() -> int | None:
    """Bytes that a process could take without swapping; None where the system does not tell."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    return None
