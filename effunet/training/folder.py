"""The folder of a run: its name, its making, and the checkpoint in it."""

from __future__ import annotations

import shlex
from contextlib import suppress
from itertools import count
from pathlib import Path

import yaml

from effunet.data.dataset import Dataset
from effunet.errors import ModelError, ResourceError, UsageError
from effunet.evaluate import check_fit
from effunet.model.network import NetworkPlan
from effunet.segmenter import Segmenter
from effunet.training import machine
from effunet.training.checkpoint import AtomicCheckpointIO
from effunet.training.config import to_plain
from effunet.training.record import LAST
from effunet.training.schema import Config

RUNS = Path("runs")
LATEST = "latest"


def choose(config: Config) -> Path:
    """Return the folder of the run: the one to resume, the one named, or the next free number.

    Raises:
        UsageError: the name is no plain name, or taken.
    """
    if config.resume is not None:
        # Not runs/latest itself: the next run to start turns it to its own folder.
        folder = Path(config.resume)
        return folder.parent / folder.readlink() if folder.is_symlink() else folder
    if config.name is None:
        stem = f"{config.dataset.name}-{config.encoder.name}"
        stem += f"-{config.debug}" if config.debug else ""
        return next(f for number in count(1) if not (f := RUNS / f"{stem}-{number}").exists())
    folder = RUNS / config.name
    if folder.parent != RUNS or config.name in ("..", LATEST) or len(folder.name.encode()) > 255:
        raise UsageError(
            f"name={config.name}: a run is one folder of {RUNS}/: choose a name without slashes,"
            f" of at most 255 bytes, and not {LATEST}"
        )
    if folder.exists() and machine.is_first():
        raise UsageError(
            f"name={config.name}: {folder} exists: choose another name,"
            f" or go on with it by resume={folder}"
        )
    return folder


def make(folder: Path, config: Config) -> None:
    """Make the folder with its config.yaml, or tidy the one to resume; point runs/latest to it.

    Raises:
        ResourceError: no permission, no space.
    """
    if not machine.is_first():
        return
    try:
        if config.resume is None:
            folder.mkdir(parents=True)
            text = yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True)
            (folder / "config.yaml").write_text(text, encoding="utf-8")
        for partial in folder.glob(".*.part"):  # of a write that a kill has cut short
            partial.unlink()
    except OSError as error:
        raise ResourceError(
            f"{folder}: cannot write the run folder ({error.strerror}):"
            " mend the permission, or start where you may write"
        ) from error
    latest = folder.parent / LATEST
    # A convenience, which not every file system has.
    with suppress(OSError):
        if latest.is_symlink() or not latest.exists():
            latest.unlink(missing_ok=True)
            latest.symlink_to(folder.resolve().name, target_is_directory=True)


def checkpoint(folder: Path, total: int, plan: NetworkPlan, train: Dataset) -> Path | None:
    """Return the checkpoint of a run to go on from; None when its `total` steps are done.

    Raises:
        ModelError: there is none, it cannot be read, or plan (by config.yaml) and classes (by the
            dataset) are no longer those of the run's segmenter.
    """
    file = folder / LAST
    if not file.is_file():
        raise ModelError(f"resume={folder}: no {file}: {how_to_go_on(folder)}")
    kept = Segmenter.load(folder)
    check_fit(kept, train)
    if kept.network.plan != plan:
        raise ModelError(
            f"resume={folder}: config.yaml describes another network than the run has:"
            " undo the change, or start a new run"
        )
    step = AtomicCheckpointIO().load_checkpoint(file)["global_step"]
    return file if step < total else None


def how_to_go_on(folder: Path) -> str:
    """Return what to type after a run was stopped."""
    if (folder / LAST).is_file():
        return f"go on with  python train.py {shlex.quote(f'resume={folder}')}"
    return "it never reached a validation, so that there is nothing to go on from: start anew"
