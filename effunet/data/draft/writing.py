"""What was found in a folder -> the text of a dataset.yaml, with a word on all that was guessed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from effunet.data.draft.values import Entry
from effunet.data.sources.selection import share
from effunet.values import RawValue, jsonable

SHARES = {"val": 0.1, "test": 0.1}
FEW = 50
"""Images; of fewer, all that are not learnt from are validated on."""

SHARES_OF_FEW = {"val": 0.2}
SEEDS = 1000


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A dataset.yaml before it is text; splits are words of folders, lists, or empty for a rule."""

    name: str
    layout: Mapping[str, str]
    splits: Mapping[str, str] | None = None  # split -> the word that {split} stands for
    lists: Mapping[str, str] | None = None  # split -> list file
    names: Sequence[str] = ()  # of the pairs
    grouped: bool = False  # the first star is a folder
    classes: Sequence[Entry] = ()
    ignore: Sequence[tuple[RawValue, str]] = ()
    channels: int = 3
    value_range: tuple[float, float] | None = None
    counted: str = ""  # what the classes are from
    named_by: str = ""  # the file that names them


def text_of(draft: Draft) -> str:
    """The whole file."""
    lines = [
        "# Written by `effunet data init` from what lies here. Read it, correct it, and see",
        "# what it makes of your files: effunet data check, effunet data preview.",
        f"name: {_quoted(draft.name)}",
        "# title, source, licence: facts for people",
    ]
    if draft.channels != 3:
        lines.append(f"channels: {draft.channels}  # 3 is RGB, 1 grey")
    if draft.value_range is not None:
        low, high = draft.value_range
        lines.append(f"value_range: [{low:g}, {high:g}]  # what becomes 0..255; as seen here")
    lines += ["", *_splits(draft), "", "layouts:"]
    layout = ", ".join(f"{key}: {_quoted(value)}" for key, value in draft.layout.items())
    lines += [f"  - {{{layout}}}", ""]
    lines.append(f"# In index order, from {draft.counted}.")
    if draft.named_by:
        lines.append(f"# The names are those of {draft.named_by}.")
    else:
        lines.append("# Rename them, merge them (several values in one), or move them to ignore.")
    lines.append("classes:")
    for entry in draft.classes:
        values = ", ".join(map(_value, entry.values))
        color = ", ".join(map(str, entry.color))
        comment = f"  # {entry.comment}" if entry.comment else ""
        lines.append(
            f"  - {{name: {_quoted(entry.name)}, color: [{color}], values: [{values}]}}{comment}"
        )
    lines.append("# Raw values that are never learnt and never counted.")
    ignored = ", ".join(_value(value) for value, _ in draft.ignore)
    why = "; ".join(comment for _, comment in draft.ignore)
    lines.append(f"ignore: [{ignored}]" + (f"  # {why}" if why else ""))
    lines.append("rest: error  # any other value; or ignore, or nearest")
    return "\n".join(lines) + "\n"


def _splits(draft: Draft) -> list[str]:
    if draft.lists:
        lines = ["splits:"]
        return lines + [f"  {s}: {{list: {_quoted(file)}}}" for s, file in draft.lists.items()]
    if draft.splits:
        lines = ["splits:  # our name: the text that {split} stands for"]
        lines += [f"  {split}: {_quoted(word)}" for split, word in draft.splits.items()]
        if "train" in draft.splits and "val" not in draft.splits:
            lines.append("  # val: ...  a training needs one: a folder, or dataset.val_split=test")
        return lines
    shares = SHARES if len(draft.names) >= FEW else SHARES_OF_FEW
    told = ", ".join(f"{split}: {part}" for split, part in shares.items())
    group = ", group: 1" if draft.grouped else ""
    lines = [
        "# No folder and no list says what to validate on: a hash of each name decides, so that",
        "# an image stays in its split whatever is added. Frames of one video look alike and",
        "# belong into one split: group is the number of the star that names it, 0 for none.",
    ]
    return [*lines, f"splits: {{by: hash, {told}, seed: {_seed(draft.names, shares)}{group}}}"]


def _seed(names: Sequence[str], shares: Mapping[str, float]) -> int:
    """The first seed that leaves no split empty and deals about as asked."""
    for seed in range(SEEDS):
        numbers = [share(name, seed) for name in names]
        low, fits = 0.0, True
        for part in (*shares.values(), 1 - sum(shares.values())):
            inside = sum(low <= number < low + part for number in numbers)
            fits = fits and inside >= max(1, 0.5 * part * len(names))
            low += part
        if fits:
            return seed
    return 0


def _value(value: RawValue) -> str:
    return json.dumps(jsonable(value), ensure_ascii=False)


def _quoted(text: str) -> str:
    """Plain where YAML takes it for a text, else in quotes."""
    plain = text.isascii() and text.replace("_", "a").isalnum() and text[:1].isalpha()
    # What YAML takes for something else than text.
    special = text.lower() in ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
    return text if plain and not special else json.dumps(text, ensure_ascii=False)
