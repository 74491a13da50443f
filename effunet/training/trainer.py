"""Lightning's Trainer as we use it: devices, precision, DDP, our checkpoints; its own loops alone.

What happens between two steps is effunet.training.course's matter.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.strategies.launchers import (
    _SubprocessScriptLauncher,  # pyright: ignore[reportPrivateUsage] - its processes have no other door
)

from effunet import processes
from effunet.errors import ResourceError
from effunet.training import machine
from effunet.training.config.schema import Config
from effunet.training.module import Training
from effunet.training.output.checkpoint import AtomicCheckpointIO
from effunet.training.stop import Stop


def build_trainer(
    config: Config, module: Training, folder: Path, total: int, callbacks: list[pl.Callback]
) -> pl.Trainer:
    """Build the trainer of a run over `total` optimizer steps."""
    taking_part = machine.processes(config)
    # A parameter that learns later is unused until then, and DDP has to be told to look.
    changing = module.freezing.changes(total)
    strategy = DDPStrategy(find_unused_parameters=changing) if taking_part.world > 1 else "auto"
    trainer = pl.Trainer(
        max_steps=total,
        # One long epoch for Lightning: a step's data follow from its number alone, so that
        # there is no position within an epoch that a resumed training could miss.
        max_epochs=1,
        limit_val_batches=0,
        accelerator=config.accelerator,
        devices=taking_part.devices,
        num_nodes=taking_part.nodes,
        strategy=strategy,
        precision=machine.precision(config),
        accumulate_grad_batches=config.accumulate,
        sync_batchnorm=config.sync_batchnorm,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    # Signals are effunet.training.stop's: Lightning's handler broadcasts from within, where another
    # collective may be going on, and hands a SLURM job back with a checkpoint of its own.
    connector = trainer._signal_connector  # pyright: ignore[reportPrivateUsage]
    connector.register_signal_handlers = lambda: None
    return trainer


@contextmanager
def faults(trainer: pl.Trainer, stop: Stop) -> Generator[None]:
    """Outlive the processes that Lightning has started, and let a fault out as what it was.

    At a fault they would wait for this one in a collective, which no gentler signal ends.

    Raises:
        KeyboardInterrupt: a second Ctrl-C, of which Lightning makes an exit with code 1.
        SystemExit: a signal that has also ended the processes that read data.
        EffunetError: another process has ended; with its exit code, where that is known.
    """
    launcher = trainer.strategy.launcher
    mine: list[subprocess.Popen[bytes]] = []
    try:
        yield
    except BaseException as fault:
        if isinstance(launcher, _SubprocessScriptLauncher):
            mine = [*launcher.procs]
            # Lightning's observer looks at this very list, and kills this process for what we kill.
            launcher.procs.clear()
        code = _ended(mine) if _lost_another(fault) else None
        for process in mine:
            process.send_signal(signal.SIGKILL)
        if isinstance(fault, SystemExit) and isinstance(fault.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from fault
        if isinstance(fault, RuntimeError) and "DataLoader worker" in str(fault):
            stop.end()  # the workers were signalled, too, and no step can be finished
            raise ResourceError(
                f"a process that reads data has ended ({fault}): one that is killed mostly lacks"
                " memory: try fewer num_workers"
            ) from fault
        if _lost_another(fault):
            said = "" if code is None else f" with exit code {code}"
            raise processes.KINDS.get(code or 0, ResourceError)(
                f"another process has ended{said} in the middle of the training: see what it said"
                " (one that is killed mostly lacks memory)"
            ) from fault
        raise
    else:
        mine = launcher.procs if isinstance(launcher, _SubprocessScriptLauncher) else []
    finally:
        for process in mine:
            process.wait()


def _lost_another(fault: BaseException) -> bool:
    """Tell the error of a collective whose other end is gone."""
    words = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")
    return isinstance(fault, RuntimeError) and any(word in str(fault) for word in words)


def _ended(started: list[subprocess.Popen[bytes]]) -> int | None:
    """Return the exit code of a process that has ended by a fault of its own, None without one."""
    limit = time.monotonic() + 3
    while started and time.monotonic() < limit:
        codes = [process.poll() for process in started]
        if found := [code for code in codes if code is not None and code > 0]:
            return found[0]
        time.sleep(0.05)
    return None
