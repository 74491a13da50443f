"""Several processes that share one work: who is who, sums over all, and one fault for all.

torchrun (or SLURM) starts them and says so in the environment: RANK, WORLD_SIZE, LOCAL_RANK,
MASTER_ADDR, MASTER_PORT. Only whole numbers and texts travel between them, over gloo, so that no
pickle is read. In a single process every function is the trivial one, and torch is not imported.
"""

import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from time import time
from typing import Any, NoReturn

from effunet.errors import (
    STOPPED,
    DataError,
    EffunetError,
    ModelError,
    ResourceError,
    UsageError,
    told,
)

JOINING = timedelta(minutes=10)
PATIENCE = timedelta(days=7)
"""How long a process waits for the others to start, and to end shares that take them longer."""

FAULT = "effunet/fault"
TEXT_BYTES = 4000
AGREED = "every process ends for this fault of process"

KINDS = {kind.exit_code: kind for kind in (UsageError, DataError, ModelError, ResourceError)}


def rank() -> int:
    """The number of this process, from 0; 0 where it works alone."""
    return _distributed().get_rank() if world() > 1 else 0


def world() -> int:
    """How many processes share the work: those of the initialised torch.distributed group, or 1."""
    distributed = _distributed()
    return distributed.get_world_size() if distributed and distributed.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that prints, draws and writes."""
    return rank() == 0


def launched() -> bool:
    """Whether a launcher has started this process as one of several (RANK and WORLD_SIZE > 1)."""
    return "RANK" in os.environ and _number("WORLD_SIZE", "1") > 1


def leave(code: int) -> NoReturn:
    """End the program, of one process or of several that work together, with this exit code.

    Of several it ends without the interpreter's own farewell: there, torch 2.15 now and then aborts
    ("terminate called without an active exception", seen in 1 of 6 evaluations over gloo), by which
    a work well done is reported as failed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if world() > 1 or os.environ.get("WORLD_SIZE", "1") != "1":
        gc.collect()  # what holds other processes, as the workers of a loader, lets them go
        os._exit(code)
    sys.exit(code)


def device(name: str) -> str:
    """The device of this process for a --device of auto, cpu or cuda: cuda:LOCAL_RANK of several.

    Raises:
        ResourceError: there are fewer GPUs than processes on this machine.
    """
    import torch

    if world() == 1 or name == "cpu" or not torch.cuda.is_available():
        return name
    place, gpus = _number("LOCAL_RANK", "0"), torch.cuda.device_count()
    if place >= gpus:
        raise ResourceError(
            f"LOCAL_RANK={place}: this process sees {gpus} GPU(s), numbered from 0: start one "
            "process for each, or use --device cpu"
        )
    return f"cuda:{place}"


@contextmanager
def joined() -> Generator[None]:
    """Work as one of the processes that a launcher started; alone, when none did.

    A fault of one process ends all of them: the one at fault (of several, the first) raises it and
    so says it, the others leave with its exit code and without a word. For programs, whose process
    ends with the fault; the group is taken down in any case.

    Raises:
        UsageError: the launcher's environment is incomplete.
        ResourceError: the other processes cannot be reached.
    """
    if not launched():
        yield
        return
    import torch.distributed as dist

    for name in ("RANK", "MASTER_PORT"):
        _number(name)
    if not os.environ.get("MASTER_ADDR"):
        raise UsageError("MASTER_ADDR is not set, but RANK and WORLD_SIZE are: start by torchrun")
    try:
        store, number, size = next(dist.rendezvous("env://", timeout=JOINING))
        dist.init_process_group("gloo", store=store, rank=number, world_size=size, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        text = " ".join(str(error).split())
        raise ResourceError(f"cannot join the other processes at {where}: {text}") from error
    try:
        with together():
            yield
    except KeyboardInterrupt:
        if is_first():
            raise
        raise SystemExit(STOPPED) from None
    except Exception as error:
        _report(error)
        if _culprit(error) not in (None, rank()):
            raise SystemExit(getattr(error, "exit_code", 1)) from error
        # A launcher terminates all when one has ended; the line must be said before.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise
    finally:
        dist.destroy_process_group()


@contextmanager
def together() -> Generator[Callable[[], bool]]:
    """A block that all processes of the group leave well, or all with the same fault.

    It gives a function that tells, at little cost, whether another process has a fault: long work
    asks it and breaks off. The block itself must not wait for other processes.

    Raises:
        EffunetError: in the process at fault its own exception, in the others one of the same kind
            and text; ResourceError where a process has vanished.
    """
    if world() == 1:
        yield lambda: False
        return
    store, fault = _store(), None
    try:
        yield lambda: store is not None and store.check([FAULT])
    except Exception as error:
        if _culprit(error) is not None:  # all know, and none waits for an answer
            raise
        fault = error
    try:
        culprit, words = _agree(fault)
    except RuntimeError as error:
        raise fault or ResourceError(
            "another process has ended in the middle of the work: see what it or its launcher said "
            "(one that is killed mostly lacks memory)"
        ) from error
    if culprit is None:
        return
    if culprit != rank():
        code, text = json.loads(words)
        fault = KINDS.get(code, EffunetError)(text)
    assert fault is not None
    fault.add_note(f"{AGREED} {culprit}")
    raise fault


def summed(array: Any) -> Any:
    """The sum over all processes of int64 numpy arrays of one shape; exact."""
    return _reduced_array(array, "SUM")


def largest(array: Any) -> Any:
    """The largest at each place over all processes of int64 numpy arrays of one shape."""
    return _reduced_array(array, "MAX")


def highest(number: int) -> int:
    """The highest number of all processes."""
    return _reduced([number], "MAX")[0]


def alike(number: int) -> bool:
    """Whether the number is the same in all processes."""
    highest, lowest = _reduced((number, -number), "MAX")
    return highest == -lowest


def _agree(fault: Exception | None) -> tuple[int | None, str]:
    """The first process at fault, and its exit code and text as JSON; None where all are well."""
    store = _store()
    if fault is not None and store is not None:
        store.set(FAULT, "1")
    (culprit,) = _reduced([world() if fault is None else rank()], "MIN")
    if culprit == world():
        return None, ""
    # Nobody asks for it any more, and nobody gets by the next sum before it is gone.
    if fault is not None and store is not None:
        with suppress(NotImplementedError):
            store.delete_key(FAULT)
    words = b""
    if culprit == rank():
        assert fault is not None
        text, code = told(fault)
        words = json.dumps([code, text[: TEXT_BYTES // 8]]).encode()
    letters = _reduced(words.ljust(TEXT_BYTES, b"\0"), "SUM")
    return culprit, bytes(letters).rstrip(b"\0").decode()


def _report(error: Exception) -> None:
    """Leave the line where torchrun looks for it, to be shown in its own report."""
    if file := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        with suppress(OSError):
            Path(file).write_text(json.dumps({"message": told(error)[0], "timestamp": int(time())}))


def _culprit(error: Exception) -> int | None:
    """The process for whose fault all end, where they have agreed on it."""
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith(AGREED)]
    return int(notes[0].split()[-1]) if notes else None


def _reduced(numbers: Sequence[int], operation: str) -> list[int]:
    if world() == 1:
        return list(numbers)
    import numpy as np

    return _reduced_array(np.array(list(numbers), np.int64), operation).tolist()


def _reduced_array(array: Any, operation: str) -> Any:
    if world() == 1:
        return array
    import torch
    import torch.distributed as dist

    # A group of nccl alone, which a user's program may have, takes no other tensors.
    place = "cpu" if "cpu" in dist.get_backend_config() else "cuda"
    tensor = torch.tensor(array, dtype=torch.int64, device=place)
    dist.all_reduce(tensor, getattr(dist.ReduceOp, operation))
    return tensor.cpu().numpy()


def _distributed() -> Any:
    """torch.distributed where it can be in use: who has not imported it has no group."""
    module = sys.modules.get("torch.distributed")
    return module if module is not None and module.is_available() else None


def _store() -> Any:
    """The key-value store by which the group was made; None where it has none (mpi)."""
    from torch.distributed.distributed_c10d import (
        _get_default_store,  # pyright: ignore[reportPrivateUsage] - has no public name
    )

    return _get_default_store()


def _number(name: str, absent: str = "") -> int:
    text = os.environ.get(name, absent)
    if not text.isdecimal():
        raise UsageError(
            f"{name}={text}: several processes are started by torchrun, which sets it to a number"
        )
    return int(text)
