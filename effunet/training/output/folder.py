"""The folder of a run: its name, its making, and what lies in it to go on from."""

from __future__ import annotations

import secrets
import shlex
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import yaml

from effunet.artifact import write
from effunet.data.dataset import Dataset
from effunet.errors import EffunetError, ModelError, ResourceError, UsageError
from effunet.labels import LabelMap
from effunet.model.kinds import AnyPlan
from effunet.segmenter import Segmenter
from effunet.training import machine
from effunet.training.config.read import to_plain
from effunet.training.config.schema import Config
from effunet.training.output.checkpoint import AtomicCheckpointIO
from effunet.training.output.record import LAST

RUNS = Path("runs")
LATEST = "latest"
CONFIG = "config.yaml"


@dataclass(frozen=True)
class Resumption:
    """Where a run goes on."""

    checkpoint: Path | None  # None: killed before its first checkpoint, it starts from step 0
    step: int = 0
    finished: bool = False


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
        return next(folder for folder in _numbered(config) if not folder.exists())
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


def unfinished_twin(config: Config, total: int) -> str | None:
    """Return the line that offers the newest run of the same config, if it stopped too early."""
    if config.name is not None or config.resume is not None or not machine.is_first():
        return None
    for folder in reversed([*takewhile(Path.exists, _numbered(config))]):
        with suppress(OSError, UnicodeDecodeError, yaml.YAMLError, EffunetError):
            stored = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
            if stored != to_plain(config):
                continue
            found = _read(folder, total, config.patience)
            if found.finished:
                return None
            return (
                f"{folder} is the same training, stopped at step {found.step} of {total}: this is a"
                f" new one; {how_to_go_on(folder)}"
            )
    return None


def make(folder: Path, config: Config) -> Path:
    """Make the folder with its config.yaml, or tidy the one to resume; point runs/latest to it.

    Returns:
        The folder, which has a higher number than it was given where another run, one of a sweep
        perhaps, has meanwhile taken that.

    Raises:
        UsageError: the chosen name has meanwhile been taken.
        ResourceError: no permission, no space.
    """
    if not machine.is_first():
        return folder
    try:
        if config.resume is None:
            folder = _claim(folder, config)
        else:
            for partial in [*folder.glob(".*.part"), *(folder / LAST).parent.glob(".*.partial")]:
                partial.unlink()  # of a write that a kill has cut short
            if config.resume_force:
                write(folder / CONFIG, _text(config).encode())
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
    return folder


def resumption(
    folder: Path, config: Config, total: int, plan: AnyPlan, train: Dataset
) -> Resumption:
    """Return where the run in a folder goes on.

    Raises:
        UsageError: another number of processes without resume_force.
        ModelError: what lies there cannot be read, or network (by config.yaml) and classes (by the
            dataset) are no longer those of the checkpoint.
    """
    found = _read(folder, total, config.patience)
    if found.checkpoint is None:
        return found
    state = _state(found.checkpoint)
    record, before, now = state["record"], state["processes"], machine.processes(config).world
    if before != now and not config.resume_force:
        raise UsageError(
            f"resume={folder}: the run had {before} processes and would have {now}: its batches and"
            f" its length would be others: start it on {before}, or add resume_force=true"
        )
    kept = LabelMap.from_plain(record["labels"], where=str(found.checkpoint))
    mismatch = kept.mismatch(train.labels)
    if mismatch:
        raise ModelError(
            f"resume={folder}: the classes of the run (here) are not those of {train.name} (there):"
            f" {mismatch}: undo the change, or start a new run"
        )
    if record["plan"] != plan.to_plain():
        raise ModelError(
            f"resume={folder}: config.yaml describes another network than the run has:"
            " undo the change, or start a new run"
        )
    if "facts" not in record:
        raise ModelError(
            f"resume={folder}: its checkpoint is of an older effunet: start a new run, from its"
            f" weights by init_from={folder}"
        )
    if record["facts"]:
        Segmenter.load(folder)  # which the end of the run will show
    return found


def how_to_go_on(folder: Path) -> str:
    """Return what to type after a run was stopped."""
    return f"go on with  python train.py {shlex.quote(f'resume={folder}')}"


def _numbered(config: Config) -> Iterator[Path]:
    network = config.network
    parts = [config.dataset.name, (network.architecture or "").lower()]
    parts += [network.encoder or config.encoder.name, config.debug or ""]
    stem = "-".join(filter(None, parts))
    return (RUNS / f"{stem}-{number}" for number in count(1))


def _claim(folder: Path, config: Config) -> Path:
    """Make the folder in one step with its config.yaml, so that a kill leaves none without."""
    RUNS.mkdir(parents=True, exist_ok=True)
    making = RUNS / f".{secrets.token_hex(8)}.part"
    making.mkdir()
    try:
        (making / CONFIG).write_text(_text(config), encoding="utf-8")
        places = iter([folder]) if config.name is not None else _numbered(config)
        for place in places:
            if place.exists():
                continue
            try:
                return making.rename(place)
            except FileExistsError:
                continue
            except OSError:
                if not place.exists():  # or else another run, which was faster, has filled it
                    raise
        raise UsageError(
            f"name={config.name}: {folder} was made by another run just now: choose another name"
        )
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _text(config: Config) -> str:
    """Return config.yaml: the training as a value, without how this call came to it."""
    values = to_plain(replace(config, resume=None, resume_force=False))
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _read(folder: Path, total: int, patience: int | None) -> Resumption:
    file = folder / LAST
    if not file.is_file():
        return Resumption(None)
    checkpoint = AtomicCheckpointIO().load_checkpoint(file)
    record, step = _state(file, checkpoint)["record"], checkpoint["global_step"]
    validated = record["validated"] == step
    waited = patience is not None and record["since_best"] >= patience
    return Resumption(file, step, validated and (step >= total or waited))


def _state(file: Path, checkpoint: dict[str, Any] | None = None) -> dict[str, Any]:
    checkpoint = checkpoint or AtomicCheckpointIO().load_checkpoint(file)
    state = checkpoint.get("effunet")
    if not isinstance(state, dict):
        raise ModelError(f"{file}: no checkpoint of this program: resume a run folder of it")
    return state
