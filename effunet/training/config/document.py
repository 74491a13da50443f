"""The schema in, docs/config.md out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints

from effunet.training.config.schema import Config
from effunet.training.config.search import Search


def _type_name(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint)) if isinstance(hint, type) else str(hint)


def _limit_words(limits: Mapping[str, Any]) -> str:
    words = {"low": "at least {}", "above": "more than {}", "high": "at most {}"}
    if "choices" in limits:
        return ", ".join(f"`{choice}`" for choice in limits["choices"])
    return ", ".join(words[name].format(limit) for name, limit in limits.items())


def document() -> str:
    """Return docs/config.md: every key, its default, meaning and limits, from the schema."""
    lines = [
        "# Every key of a training",
        "",
        "Made from `effunet/training/config/` by `python -m effunet.training.config`.",
        "Type a key as `key=value` behind `python train.py`; a group such as `optim` is a file of",
        "`conf/`, and its keys are `optim.lr=...`. The default shown is the schema's; the files of",
        "`conf/` may set another, `python train.py --cfg job` prints what holds.",
        "Those of `search` belong to `effunet scale search`, which takes the others, too.",
    ]
    hints = get_type_hints(Config)
    parts: list[tuple[str, type]] = [("", Config)]
    parts += [(n.name, hints[n.name]) for n in fields(Config) if is_dataclass(hints[n.name])]
    parts.append(("search", Search))
    for name, part in parts:
        lines += ["", f"## {name or 'Top level'}", "", (part.__doc__ or "").strip(), ""]
        lines += ["| key | type | default | meaning | limits |", "|---|---|---|---|---|"]
        types = get_type_hints(part)
        for item in fields(part):
            if is_dataclass(types[item.name]):
                continue
            factory = item.default_factory
            default = item.default if factory is MISSING else factory()
            shown = "empty" if default is None else f"`{default}`"
            row = [f"`{name + '.' if name else ''}{item.name}`", _type_name(types[item.name])]
            row += [shown, item.metadata["meaning"], _limit_words(item.metadata["limits"])]
            lines.append("| " + " | ".join(cell.replace("|", "or") for cell in row) + " |")
    return "\n".join(lines) + "\n"
