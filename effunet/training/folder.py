"""The folder of a run: its name, its making, and the checkpoint in it."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import yaml

from effunet.errors import ModelError, ResourceError, UsageError
from effunet.training.checkpoint import AtomicCheckpointIO
from effunet.training.config import to_plain
from effunet.training.record import LAST
from effunet.training.schema import Config

RUNS = Path("runs")


def choose(config: Config) -> Path:
    """Return the folder of the run: the one to resume, the one named, or the next free number."""
    if config.resume is not None:
        return Path(config.resume)
    if config.name is not None:
        folder = RUNS / config.name
        if folder.exists():
            raise UsageError(
                f"name={config.name}: {folder} exists: choose another name,"
                f" or go on with it by resume={folder}"
            )
        return folder
    stem = f"{config.dataset.name}-{config.encoder.name}"
    return next(folder for number in count(1) if not (folder := RUNS / f"{stem}-{number}").exists())


def make(folder: Path, config: Config) -> None:
    """Make the folder with its config.yaml, and point runs/latest to it.

    Raises:
        ResourceError: no permission, no space.
    """
    try:
        folder.mkdir(parents=True, exist_ok=config.resume is not None)
        if config.resume is None:
            text = yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True)
            (folder / "config.yaml").write_text(text, encoding="utf-8")
        latest = folder.parent / "latest"
        if latest.is_symlink() or not latest.exists():
            latest.unlink(missing_ok=True)
            latest.symlink_to(folder.name, target_is_directory=True)
    except OSError as error:
        raise ResourceError(
            f"{folder}: cannot write the run folder ({error.strerror}):"
            " mend the permission, or start where you may write"
        ) from error


def checkpoint(folder: Path, total: int) -> Path | None:
    """Return the checkpoint of a run to go on from; None when its `total` steps are done.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    file = folder / LAST
    if not file.is_file():
        raise ModelError(f"resume={folder}: no {file}: this run never reached a validation")
    step = AtomicCheckpointIO().load_checkpoint(file)["global_step"]
    return file if step < total else None
