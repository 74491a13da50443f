"""`effunet data init`: what lies in a folder -> its first dataset.yaml, for a person to correct."""

import shlex
import sys
from argparse import Namespace
from pathlib import Path

from effunet import artifact
from effunet.commands.outputs import prepare_file
from effunet.commands.terminal import console, progress, shown
from effunet.data.describe.description import FILE_NAME
from effunet.data.draft.draft import draft_folder
from effunet.errors import ResourceError, UsageError


def run(arguments: Namespace) -> int:
    """Look, write, and say what to do next."""
    folder = arguments.folder
    out = _place(arguments.out or folder)
    if out.exists() and not arguments.force:
        raise UsageError(f"{out} is there already: --force replaces it, --out writes elsewhere")
    with progress(f"{folder}: masks") as tell:
        text, told = draft_folder(folder, tell)
    _write(out, text, asked=arguments.out is not None)
    say = console()
    for line in told:
        say.print(shown(line))
    say.print(f"\nwrote {shown(out)}: read and correct it, then")
    inside = out.absolute().parent == folder.absolute()
    name = _word(folder if inside else out.parent)
    root = "" if inside else f" --root {_word(folder)}"
    for action in ("check", "stats", "preview"):
        say.print(f"  effunet data {action} {name}{root}")
    described = "" if inside else f" dataset.name={name}"
    say.print(f"  python train.py dataset=folder{described} dataset.root={_word(folder)}")
    return 0


def _place(out: Path) -> Path:
    if out.is_dir():
        return out / FILE_NAME
    if out.name != FILE_NAME and out.suffix:
        raise UsageError(f"--out {out}: every command looks for {FILE_NAME}: name a folder for it")
    return out if out.name == FILE_NAME else out / FILE_NAME


def _write(out: Path, text: str, *, asked: bool) -> None:
    try:
        if asked:
            prepare_file(out)
        artifact.write(out, text.encode())
    except OSError as fault:
        # Nothing is lost: the text can be saved by hand.
        sys.stdout.write(text)
        raise ResourceError(
            f"{out} cannot be written ({fault.strerror}): --out FILE writes elsewhere; the text "
            "is on standard output"
        ) from fault


def _word(path: Path) -> str:
    """The path as a shell takes it."""
    return shlex.quote(shown(path))
