"""What the machine decides where the config leaves it open: devices, workers, precision."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from pytorch_lightning.utilities import rank_zero_only

from effunet.allocator import keep_large_blocks
from effunet.errors import ResourceError, UsageError
from effunet.training.config.schema import Config


def require(config: Config) -> None:
    """Refuse what this machine cannot do.

    Raises:
        ResourceError: no GPU where one is needed, or fewer than asked for.
        UsageError: `devices` says another number of processes than were started.
    """
    gpus = torch.cuda.device_count()
    if config.accelerator == "gpu" and not gpus and not torch.backends.mps.is_available():
        raise ResourceError(
            "accelerator=gpu: no GPU is visible here: use accelerator=auto, or mend its driver"
        )
    if config.precision == "fp16" and not _on_gpu(config):
        raise ResourceError("precision=fp16: needs a GPU, and none is in use: use precision=auto")
    wanted = processes(config).devices
    if _on_gpu(config) and wanted > gpus:
        raise ResourceError(f"devices={wanted}: this machine has {gpus} GPUs: ask for no more")
    if config.sync_batchnorm and not _on_gpu(config):
        raise ResourceError("sync_batchnorm=true: torch has it for GPUs alone: leave it out here")


def is_first() -> bool:
    """Return whether this process is the one that speaks and writes files.

    The others are started by torchrun, by SLURM, or by Lightning for each further device, all with
    the same command line.
    """
    return getattr(rank_zero_only, "rank", 0) == 0


@dataclass(frozen=True)
class Processes:
    """How many machines take part, and how many processes run on each: one for each device."""

    nodes: int
    devices: int

    @property
    def world(self) -> int:
        """All of them."""
        return self.nodes * self.devices


def processes(config: Config) -> Processes:
    """Return who takes part: what torchrun or SLURM started, or the devices of this machine.

    Raises:
        UsageError: `devices` says another number than was started.
    """
    started = _started()
    if started is not None:
        if config.devices not in (None, started.devices):
            raise UsageError(
                f"devices={config.devices}: {started.devices} processes were started on this"
                " machine: leave devices out, or start as many"
            )
        return started
    if config.devices is not None:
        return Processes(1, config.devices)
    return Processes(1, torch.cuda.device_count() or 1 if config.accelerator != "cpu" else 1)


def _started() -> Processes | None:
    """Read the variables of torchrun, or else of SLURM's srun, where one has started us."""
    names = os.environ
    if "TORCHELASTIC_RUN_ID" in names:
        local, world = int(names["LOCAL_WORLD_SIZE"]), int(names["WORLD_SIZE"])
        return Processes(world // local, local)
    # Within an interactive allocation a program is started once, without srun's task variables.
    if "SLURM_NTASKS" in names and names.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        nodes = int(names.get("SLURM_NNODES", "1"))
        if int(names["SLURM_NTASKS"]) > 1 and "SLURM_NTASKS_PER_NODE" not in names:
            raise UsageError(
                f"SLURM started {names['SLURM_NTASKS']} tasks: say how many a machine, with srun's"
                " --ntasks-per-node"
            )
        return Processes(nodes, int(names["SLURM_NTASKS"]) // nodes)
    return None


def _on_gpu(config: Config) -> bool:
    return config.accelerator != "cpu" and torch.cuda.is_available()


def keep_memory(config: Config) -> None:
    """Let a training on a CPU keep its large blocks of memory from step to step.

    The process then stays as large as its largest step was, which the next one needs again.
    """
    if not _on_gpu(config):
        keep_large_blocks()


def workers(config: Config) -> int:
    """Return how many processes read data; on two cores they would take turns with training."""
    if config.num_workers is not None:
        return config.num_workers
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return min(8, cores - 1) if cores > 2 else 0


def precision(config: Config) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    """Return the arithmetic, in Lightning's words."""
    # Without matrix units for it, bf16 is slower than float32 on a CPU.
    fits = _on_gpu(config) and torch.cuda.is_bf16_supported()
    match config.precision:
        case "bf16":
            return "bf16-mixed"
        case "fp16":
            return "16-mixed"
        case "auto" if fits:
            return "bf16-mixed"
        case _:
            return "32-true"


@contextmanager
def quiet() -> Generator[None]:
    """Keep Lightning's tips and its advice on what we decide ourselves off the screen."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", ".*LeafSpec.*")  # Lightning 2.6 with torch 2.15
            warnings.filterwarnings("ignore", ".*in eval mode at the start.*")  # what is frozen
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
