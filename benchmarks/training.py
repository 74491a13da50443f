"""Training steps of effunet beside smp's: images a second, bytes saved for backward, peak memory.

`python benchmarks/training.py --encoder b3` prints a table; `--json` one JSON object instead. A row
(benchmarks/steps.py says what each is) is a process of its own, and the rows take turns, so that a
busy neighbour meets them all and a GPU serves one at a time. A ratio is the median over the rounds
of two rows' times in the same round, with the least and the most. That the U-Nets do equal work is
proved before any timing.

On a CPU a turn is one step, in processor time of one pinned thread, or by the clock of more. On a
GPU it is `--steps` steps behind some that are not timed; "of floor" is then the share of the images
a second that fused kernels could reach (benchmarks/floor.py) if they moved their bytes at the rate
at which this GPU copies memory.

"Saved" is what autograd saves in a forward pass, each storage once, without parameters and buffers;
"held" is what is still there when the loss alone is kept, in whatever way it was kept. `--profile
ROW` prints that row's slowest operators instead.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from memory import held_bytes, saved_bytes
from steps import MIXED, ROWS, Setting, Step
from training_result import result, table
from turns import TUNABLES, Answer, Rows, serve

from effunet.commands.benchmark.memory import forget_peak, in_use, peak

WARM = 2  # turns that are not counted: the first allocates and compiles
WARM_STEPS = 3  # of each turn on a GPU, which has rested meanwhile
COPIED = 2**30  # bytes, to measure the rate at which a GPU copies


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    shape = args.encoder, args.size, args.batch, args.classes
    setting = Setting(*shape, device, args.precision)
    if args.row:
        _serve(args, setting)
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "unets.pth"
        rows, left_out = _rows(args)
        differences: dict[str, float] = {}
        if any(row.startswith(("smp", "unet")) for row in (*rows, args.profile or "")):
            from equal_work import prepare

            differences = prepare(setting, weights)
        if args.profile:
            print(_profile(Step(args.profile, setting, weights)))
            return
        rounds = _measure(args, rows, weights)
    found = result(args, rounds, left_out, differences)
    print(json.dumps(found) if args.json else table(found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--encoder", default="b0", help="b0 to b7")
    parser.add_argument("--size", type=int, default=256, help="height and width of the images")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--steps", type=int, help="of a turn; 1, on a GPU 20")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=MIXED, default="32")
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--compile", action="store_true", help="with the compiled rows")
    parser.add_argument("--profile", choices=ROWS, metavar="ROW")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda: no GPU is visible here")
    if min(args.size, args.batch, args.rounds, args.threads, args.steps or 1) < 1:
        raise SystemExit("size, batch, rounds, threads and steps are 1 or more")
    if args.size % 32:  # smp refuses others
        raise SystemExit(f"--size must be a multiple of 32, got {args.size}")
    args.steps = args.steps or (20 if args.device == "cuda" else 1)
    return args


def _rows(args: argparse.Namespace) -> tuple[list[str], dict[str, str]]:
    """The rows to measure, and those that cannot be, with the reason."""
    wanted = args.rows or [name for name in ROWS if args.compile or "compile" not in name]
    if args.device != "cuda" or "smp-tuned" not in wanted:
        return wanted, {}
    rest = [name for name in wanted if name != "smp-tuned"]
    return rest, {"smp-tuned": "it tunes the memory of a CPU"}


def _measure(args: argparse.Namespace, rows: list[str], weights: Path) -> list[dict[str, Answer]]:
    words = {name: getattr(args, name) for name in ("encoder", "size", "batch", "classes")}
    words |= {name: getattr(args, name) for name in ("threads", "steps", "device", "precision")}
    given = [word for name, value in words.items() for word in (f"--{name}", str(value))]
    with Rows(args.threads) as running:
        for name in rows:
            variables = {"GLIBC_TUNABLES": TUNABLES} if name.endswith("-tuned") else {}
            started = [__file__, *given, "--row", name, "--weights", str(weights)]
            running.start(name, started, variables)
        return [running.turn() for _ in range(WARM + args.rounds)][WARM:]


def _serve(args: argparse.Namespace, setting: Setting) -> None:
    """Do the row's steps once for each line of the input, and tell what they took."""
    row: list[tuple[Step, int, Answer]] = []

    def turn() -> Answer:
        if not row:  # within the turn: all rows at once would not fit a GPU's memory
            row.append(_build(args, setting))
        step, base, counted = row[0]
        for _ in range(WARM_STEPS if args.device == "cuda" else 0):
            step()
        before = _now(args)
        losses = [step() for _ in range(args.steps)]
        seconds = (_now(args) - before) / args.steps
        if not losses[-1].isfinite():
            raise SystemExit(f"row {args.row}: the loss is not finite")
        highest = (peak(args.device) or 0) - base
        if args.device == "cuda":  # the other rows need the memory
            torch.cuda.empty_cache()
        return {"seconds": seconds, "loss": losses[-1].item(), "peak_bytes": highest, **counted}

    serve(turn)


def _build(args: argparse.Namespace, setting: Setting) -> tuple[Step, int, Answer]:
    """The row's step, the bytes in use before it was there, and what needs counting but once."""
    rate = _copy_rate(setting.device) if args.device == "cuda" else None
    forget_peak(args.device)
    base = in_use(args.device) or 0
    step = Step(args.row, setting, args.weights)
    counted: Answer = {"copy_bytes_per_s": rate, "saved_bytes": None, "held_bytes": None}
    if not step.compiled:  # torch cannot look into what it has compiled
        counted["saved_bytes"] = saved_bytes(step.forward, step.own())
        counted["held_bytes"] = held_bytes(step.forward, step.own())
    forget_peak(args.device)
    return step, base, counted


def _now(args: argparse.Namespace) -> float:
    if args.device == "cuda":
        torch.cuda.synchronize()
    return time.process_time() if (args.device, args.threads) == ("cpu", 1) else time.perf_counter()


def _copy_rate(device: torch.device) -> float:
    """Bytes a second, read and written, of the best of some copies of a large tensor."""
    there, here = (torch.empty(COPIED, dtype=torch.uint8, device=device) for _ in range(2))
    times: list[float] = []
    for _ in range(10):
        torch.cuda.synchronize()
        start = time.perf_counter()
        here.copy_(there)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 2 * COPIED / min(times)


def _profile(step: Step) -> str:
    from torch.profiler import ProfilerActivity, profile

    gpu = step.setting.device.type == "cuda"
    kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if gpu else [])
    for _ in range(WARM + WARM_STEPS if gpu else WARM):
        step()
    with profile(activities=kinds) as found:
        step()
        if gpu:
            torch.cuda.synchronize()
    order = "self_device_time_total" if gpu else "self_cpu_time_total"
    return found.key_averages().table(sort_by=order, row_limit=25)


if __name__ == "__main__":
    main()
