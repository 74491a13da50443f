"""The process of one model at one size: a request on standard input, an answer a line.

`python -m effunet.commands.benchmark.row` reads one JSON line that says what to load, answers with
the facts of it, and then does one round for each further line. A fault is an answer, too.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

from effunet.commands.benchmark.machine import available_memory, can_pin, usable_cores
from effunet.errors import EffunetError, ResourceError, told

LEAST_BYTES = 100
"""Of memory for a pixel on a CPU; B0 takes about 300, so what lacks these can only fail."""


def main() -> None:
    """Answer until the input ends: the parent's end is ours."""
    # Ctrl-C reaches all processes of a terminal; the parent hears it, and ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    request = json.loads(sys.stdin.readline())
    with suppress(BrokenPipeError):
        try:
            for answer in serve(request, sys.stdin):
                print(json.dumps(answer), file=answers, flush=True)
        except Exception as error:
            traceback.print_exc()
            print(json.dumps({"fault": _told(error, request)}), file=answers, flush=True)


def serve(request: dict[str, Any], lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Answer with the facts, then with a round for each line."""
    with suppress(OSError):  # where memory ends, this process is to go, and nobody else's
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    height, width, batch = (request[key] for key in ("height", "width", "batch"))

    import torch

    torch.set_num_threads(len(request["cores"]))
    if request["device"] == "cpu" or not torch.cuda.is_available():
        check_memory(height, width, batch, request["beside"])

    from effunet.commands.benchmark.memory import forget_peak, in_use, peak
    from effunet.commands.benchmark.subject import open_subject

    # Not before the imports: models that share a core would wait for each other's.
    if can_pin():
        os.sched_setaffinity(0, request["cores"])
    subject = open_subject(request["model"], height, width, batch, request["device"])
    forget_peak(subject.device)
    loaded = in_use(subject.device)
    yield {
        "process": os.getpid(),
        "threads": torch.get_num_threads(),
        "cores": usable_cores(),
        "torch": torch.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": subject.device,
        "device_name": subject.device_name,
        "precision": subject.precision,
        "macs": subject.macs,
    }
    for _ in lines:
        seconds: dict[str, float] = {}
        for name, work in subject.works.items():
            start = perf_counter()
            work()
            seconds[name] = perf_counter() - start
        yield {"seconds": seconds, "loaded": loaded, "peak": peak(subject.device)}


def check_memory(height: int, width: int, batch: int, beside: int) -> None:
    """Refuse images for which the memory of this machine cannot do.

    Args:
        height: of an image; width likewise.
        width: likewise.
        batch: images at once.
        beside: models that are measured at the same time.

    Raises:
        ResourceError: says what is needed and what there is.
    """
    free, needed = available_memory(), LEAST_BYTES * height * width * batch * beside
    if free is not None and needed > free:
        raise ResourceError(
            f"{height} x {width} pixels, batch {batch}, take {needed / 1e9:.3g} GB at the least"
            f"{f' for {beside} models' if beside > 1 else ''}, and {free / 1e9:.3g} GB are free: "
            "use a smaller --size or --batch"
        )


def _told(error: Exception, request: dict[str, Any]) -> tuple[str, int]:
    text, code = told(error, "effunet --debug benchmark ...")
    if code == ResourceError.exit_code and not isinstance(error, EffunetError | OSError):
        size = f"{request['height']} x {request['width']}, batch {request['batch']}"
        return f"{request['model']}: out of memory at {size}: use a smaller --size or --batch", code
    return text, code


if __name__ == "__main__":
    main()
