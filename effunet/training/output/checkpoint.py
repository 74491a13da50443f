"""Checkpoints for resuming: one file, never half written, never pickled code.

Lightning writes through a temporary file that may lie on another disk, so that the last step is a
copy over the old checkpoint, and a kill in its middle destroys both. Here the temporary file lies
in the same folder, reaches the disk, and then replaces the old one in one step.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO
from torch import Tensor

from effunet.errors import ModelError, ResourceError


class AtomicCheckpointIO(CheckpointIO):
    """Write beside the target and replace it; read tensors and plain values only."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; the old file stays whole until the new one is on the disk.

        Raises:
            ResourceError: the disk is full or the folder cannot be written.
        """
        target = Path(path)
        partial = target.with_name(f".{target.name}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            needed, free = _bytes(checkpoint), shutil.disk_usage(target.parent).free
            if free < needed:  # or else the attempt would take what is left from everybody
                raise OSError(f"it takes {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB are free")
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
            _sync_folder(target.parent)
        except BaseException as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            # torch reports a full disk as a RuntimeError of its zip writer.
            foreign = isinstance(error, torch.OutOfMemoryError) or "DataLoader" in str(error)
            if foreign or not isinstance(error, OSError | RuntimeError):
                raise
            raise ResourceError(
                f"{target}: the checkpoint could not be written ({error}); the one before is"
                " unharmed: free space or mend the permission, then resume"
            ) from error

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint of ours; a pickle that holds anything else is refused, never run.

        Raises:
            ModelError: missing, damaged, or not a checkpoint.
        """
        try:
            # Explicit, because an environment variable may turn torch's own default off.
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ModelError(
                f"{path}: no readable checkpoint ({type(error).__name__}): resume a run folder"
                " that holds checkpoints/last.ckpt of this program"
            ) from error
        if not isinstance(loaded, dict) or not loaded.keys() >= {"state_dict", "global_step"}:
            raise ModelError(
                f"{path}: no training checkpoint: it holds no state_dict and global_step: resume a"
                " run folder of this program"
            )
        return loaded

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint if it is there."""
        Path(path).unlink(missing_ok=True)


def _bytes(value: Any) -> int:
    """Return what the tensors within nested values take on the disk."""
    if isinstance(value, Tensor):
        return value.nbytes
    parts = value.values() if isinstance(value, dict) else value
    return sum(map(_bytes, parts)) if isinstance(value, dict | list | tuple) else 0


def _sync_folder(folder: Path) -> None:
    """Make a rename durable: on POSIX the folder itself has to reach the disk."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
