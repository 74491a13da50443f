"""Processes that each serve one model at one size; none outlives the block that started them."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Any

from effunet.commands.benchmark.machine import pins
from effunet.errors import EffunetError, ResourceError
from effunet.processes import KINDS

Request = dict[str, Any]
"""What effunet.commands.benchmark.row is told: model, height, width, batch, device, cores, beside.
"""

FOREIGN = ("GOMP_CPU_AFFINITY", "KMP_AFFINITY", "OMP_THREAD_LIMIT")
"""Variables of the user's that would move the threads elsewhere."""


class Row:
    """One process; `facts` is its first answer, each `round` a further one."""

    def __init__(self, request: Request, errors: IO[bytes], debug: bool) -> None:
        """Start it.

        Args:
            request: what it is to load.
            errors: a file for what it says on standard error.
            debug: at a fault, show that.
        """
        self._request, self._errors, self._debug = request, errors, debug
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        # The modules that this process would find, and not those of the folder that it stands in.
        path = os.pathsep.join(place or os.curdir for place in sys.path)
        words = [sys.executable, "-P", "-m", "effunet.commands.benchmark.row"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            words,
            stdin=pipe,
            stdout=pipe,
            stderr=errors,
            encoding="utf-8",
            env={**kept, **pins(request["cores"]), "PYTHONPATH": path},
        )
        self._ask(json.dumps(request))

    def facts(self) -> dict[str, Any]:
        """What the process has loaded; to be read once, before the first round."""
        return self._answer()

    def round(self) -> dict[str, Any]:
        """Do everything once: seconds by the name of the work, memory in bytes."""
        self._ask("again")
        return self._answer()

    def kill(self) -> None:
        """End the process, and wait for its end."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, and the answer will say why
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        """The next answer.

        Raises:
            EffunetError: the process's own fault, or that it has ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line.endswith("\n") else {}
        if answer and "fault" not in answer:
            return answer
        if self._debug:
            print(self._said(), file=sys.stderr)
        if not answer:
            raise self._ended()
        text, code = answer["fault"]
        raise KINDS.get(code, EffunetError)(text)

    def _ended(self) -> EffunetError:
        """What is to be said of a process that ended without a word of its own."""
        code = self._process.wait()
        height, width = self._request["height"], self._request["width"]
        who = f"the process of {self._request['model']} at {height} x {width}"
        said = self._said().splitlines()
        last = f": {said[-1].strip()}" if said else ""
        if code == -getattr(signal, "SIGKILL", 9) or "bad_alloc" in last:
            return ResourceError(
                f"{who} was ended from outside, which mostly means that memory was lacking{last}: "
                "use a smaller --size or --batch"
            )
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return EffunetError(f"{who} {how}{last}")

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()


@contextmanager
def started(requests: Sequence[Request], debug: bool = False) -> Generator[list[Row]]:
    """A process for each request; all are killed at the end of the block, however it ends."""
    with ExitStack() as stack:
        rows: list[Row] = []
        for request in requests:
            errors = stack.enter_context(tempfile.TemporaryFile())
            rows.append(Row(request, errors, debug))
            stack.callback(rows[-1].kill)
        yield rows
