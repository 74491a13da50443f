"""Lightning's Trainer as we use it: devices, precision, DDP, our checkpoints; its own loops alone.

What happens between two steps is effunet.training.course's matter.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.strategies.launchers import (
    _SubprocessScriptLauncher,  # pyright: ignore[reportPrivateUsage] - its processes have no other door
)

from effunet.training import machine
from effunet.training.config.schema import Config
from effunet.training.module import Training
from effunet.training.output.checkpoint import AtomicCheckpointIO
from effunet.training.stop import Stop


def build_trainer(
    config: Config, module: Training, folder: Path, total: int, callbacks: list[pl.Callback]
) -> pl.Trainer:
    """Build the trainer of a run over `total` optimizer steps."""
    processes = machine.processes(config)
    # A parameter that learns later is unused until then, and DDP has to be told to look.
    changing = module.freezing.changes(total)
    strategy = DDPStrategy(find_unused_parameters=changing) if processes.world > 1 else "auto"
    return pl.Trainer(
        max_steps=total,
        # One long epoch for Lightning: a step's data follow from its number alone, so that
        # there is no position within an epoch that a resumed training could miss.
        max_epochs=1,
        limit_val_batches=0,
        accelerator=config.accelerator,
        devices=processes.devices,
        num_nodes=processes.nodes,
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


@contextmanager
def faults(trainer: pl.Trainer, stop: Stop) -> Generator[None]:
    """Outlive the processes that Lightning has started, and let a fault out as what it was.

    At a fault they would wait for this one in a collective, which no gentler signal ends.

    Raises:
        KeyboardInterrupt: a second Ctrl-C, of which Lightning makes an exit with code 1.
        SystemExit: a signal that has also ended the processes that read data.
    """
    launcher = trainer.strategy.launcher
    started = isinstance(launcher, _SubprocessScriptLauncher)
    try:
        yield
    except BaseException as fault:
        if started:
            launcher.kill(signal.SIGKILL)
        if isinstance(fault, SystemExit) and isinstance(fault.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from fault
        if isinstance(fault, RuntimeError) and "DataLoader worker" in str(fault):
            stop.end()  # a scheduler has signalled the workers, too, and no step can be finished
        raise
    finally:
        for process in launcher.procs if started else ():
            process.wait()
