"""Values in, a checked Config out: unknown keys, wrong types and broken limits end here.

Imports neither torch nor Hydra, so that a mistyped key is told before anything heavy is loaded.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from effunet.errors import UsageError
from effunet.model.architectures import ARCHITECTURES
from effunet.training import loss_keys
from effunet.training.schema import Config, Decoder, Encoder


def known_keys(schema: type = Config, prefix: str = "") -> Iterator[str]:
    """Yield every key as users type it: `max_steps`, `optim`, `optim.lr`, ..."""
    hints = get_type_hints(schema)
    for item in fields(schema):
        yield prefix + item.name
        if is_dataclass(hints[item.name]):
            yield from known_keys(hints[item.name], f"{prefix}{item.name}.")


def nearest(word: str, known: list[str]) -> str:
    """Return the mend for a mistyped word: the nearest known one, whole or by its last part."""
    last = {name.rpartition(".")[2]: name for name in reversed(known)}
    found = difflib.get_close_matches(word, known, 1, 0.6)
    if not found:
        matches = difflib.get_close_matches(word.rpartition(".")[2], list(last), 1, 0.6)
        found = [last[match] for match in matches]
    return f"did you mean {found[0]}?" if found else "docs/config.md lists every key"


def to_config(values: DictConfig | Mapping[str, Any], where: str = "the config") -> Config:
    """Merge plain values into the typed schema and check every limit.

    Args:
        values: nested keys; what is absent keeps its default.
        where: what to name in an error, such as a file.

    Raises:
        UsageError: an unknown key, a value of the wrong type, or one out of its limits.
    """
    _check_tables(values, where)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Config), values)
        OmegaConf.resolve(merged)
        config = OmegaConf.to_object(merged)
    except ConfigKeyError as error:
        name = str(error.full_key or error.key)
        raise UsageError(
            f"{where}: unknown key {name}: {nearest(name, list(known_keys()))}"
        ) from error
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        first = str(error).splitlines()[0]
        name = getattr(error, "full_key", None)
        raise UsageError(f"{where}: {name + ': ' if name else ''}{first}") from error
    assert isinstance(config, Config)
    _check_limits(config, where)
    _check_together(config, where)
    return config


def _check_tables(
    values: Mapping[Any, Any], where: str, schema: type = Config, prefix: str = ""
) -> None:
    """Refuse a word or a list where a key holds numbers by name, and say how those are typed."""
    for name, hint in get_type_hints(schema).items():
        value = values.get(name)
        if is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
            _check_tables(value, where, hint, f"{prefix}{name}.")
        table = any(get_origin(kind) is dict for kind in (hint, *get_args(hint)))
        if table and not isinstance(value, Mapping | None):
            key = f"{prefix}{name}"
            raise UsageError(
                f"{where}: {key} holds numbers by name: type it in quotes, as '{key}={{a:1,b:0.5}}'"
            )


def to_plain(config: Config) -> dict[str, Any]:
    """Return the config as nested JSON types, equal again after `to_config`."""
    plain = OmegaConf.to_container(OmegaConf.structured(config))
    assert isinstance(plain, dict)
    return {str(name): value for name, value in plain.items()}


def _check_limits(part: Any, where: str, prefix: str = "") -> None:
    for item in fields(part):
        value, name = getattr(part, item.name), prefix + item.name
        if is_dataclass(value):
            _check_limits(value, where, f"{name}.")
            continue
        for place, number in _each_value(value):
            mend = _broken_limit(number, item.metadata["limits"])
            if mend:
                raise UsageError(f"{where}: {name}{place} {mend}, got {number}")


def _each_value(value: Any) -> list[tuple[str, Any]]:
    """Return what limits bind: each number of a list, of a dict with its name, or the value."""
    if isinstance(value, dict):
        return [(f".{name}", number) for name, number in value.items()]
    return [("", number) for number in value] if isinstance(value, list) else [("", value)]


def _broken_limit(value: Any, limits: Mapping[str, Any]) -> str | None:
    """Return the rule that value breaks, in words, or None."""
    if value is None:
        return None
    if "choices" in limits and value not in limits["choices"]:
        mend = difflib.get_close_matches(str(value), limits["choices"], 1)
        hint = f" (did you mean {mend[0]}?)" if mend else ""
        return f"must be one of {', '.join(limits['choices'])}{hint}"
    # Written so that nan, which compares false with everything, breaks a limit.
    if "low" in limits and not value >= limits["low"]:
        return f"must be at least {limits['low']}"
    if "above" in limits and not value > limits["above"]:
        return f"must be more than {limits['above']}"
    if "high" in limits and not value <= limits["high"]:
        return f"must be at most {limits['high']}"
    return None


def _check_together(config: Config, where: str) -> None:
    """Check the rules that bind several keys."""
    encoder, scale = config.encoder, config.augment.scale
    _check_network(config, where)
    if len(config.decoder.widths) != 5:
        raise UsageError(
            f"{where}: decoder.widths holds five numbers, one per step, got {config.decoder.widths}"
        )
    if len(config.dataset.crop) != 2:
        raise UsageError(
            f"{where}: dataset.crop is [height, width], like [256,256], got {config.dataset.crop}"
        )
    if scale is not None and (len(scale) != 2 or scale[0] > scale[1]):
        raise UsageError(f"{where}: augment.scale is [low, high], such as [0.5,2], got {scale}")
    if (encoder.name == "phi") != (encoder.phi is not None):
        raise UsageError(
            f"{where}: encoder.phi goes with encoder=phi alone: use `encoder=phi encoder.phi=1.5`,"
            " or leave encoder.phi out"
        )
    if config.dataset.name == "folder" and config.dataset.root is None:
        raise UsageError(f"{where}: dataset=folder needs dataset.root=DIR, where your images lie")
    # At 32 pixels the coarsest feature is one pixel: BatchNorm has no variance over one value.
    cells = -(-config.dataset.crop[0] // 32) * -(-config.dataset.crop[1] // 32)
    if config.batch_size * cells < 2:
        raise UsageError(
            f"{where}: a batch of 1 with a {config.dataset.crop} crop leaves BatchNorm a single"
            " value: use batch_size=2 or a crop over 32 pixels"
        )
    wrong = loss_keys.fault(config.loss)
    if wrong:
        raise UsageError(f"{where}: {wrong}")


def _check_network(config: Config, where: str) -> None:
    """Refuse keys of network, encoder and decoder that the chosen network has no use for."""
    network, encoder = config.network, config.encoder
    if config.init_from is not None and config.resume is not None:
        raise UsageError(
            f"{where}: init_from starts a new run and resume continues one: leave one of them out"
        )
    if config.init_from is not None and encoder.weights != "none":
        raise UsageError(
            f"{where}: init_from brings the encoder's weights along: leave out encoder.weights"
        )
    if network.reset_head and config.init_from is None:
        raise UsageError(
            f"{where}: network.reset_head goes with init_from alone: any other head is fresh anyway"
        )
    if network.name == "effunet":
        for name in ("architecture", "encoder"):
            if getattr(network, name) is not None:
                raise UsageError(
                    f"{where}: network.{name} goes with network=smp: add it, or leave"
                    f" network.{name} out"
                )
        return
    if network.architecture is None:
        raise UsageError(
            f"{where}: network=smp needs network.architecture, one of {', '.join(ARCHITECTURES)}"
        )
    if network.encoder is not None:
        names = [item.name for item in fields(encoder)]
        if encoder.drop_path == 0:  # which is what another encoder has
            names.remove("drop_path")
        of_other = "network.encoder takes the place of the group encoder"
        _refuse_changed(encoder, "encoder", names, where, of_other)
    if encoder.name == "phi":
        raise UsageError(
            f"{where}: network=smp has no encoder=phi: use encoder=b0 to b7, or network.encoder"
        )
    of_ours = "network=smp has no use for it"
    _refuse_changed(encoder, "encoder", ["skip", "checkpointing"], where, of_ours)
    _refuse_changed(config.decoder, "decoder", ["name", "widths"], where, of_ours)
    if ARCHITECTURES[network.architecture].pools and config.batch_size < 2:
        raise UsageError(
            f"{where}: a batch of 1 leaves the BatchNorm behind {network.architecture}'s global"
            " pooling a single value: use batch_size=2 or more, or another network.architecture"
        )


def _refuse_changed(
    part: Encoder | Decoder, group: str, names: Sequence[str], where: str, why: str
) -> None:
    """Refuse a key that is not at its default: it would be silently without effect."""
    for name in names:
        if getattr(part, name) != getattr(type(part)(), name):
            raise UsageError(f"{where}: {why}: leave out {group}.{name}={getattr(part, name)}")


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
        "Made from `effunet/training/schema.py` by `python -m effunet.training.config`.",
        "Type a key as `key=value` behind `python train.py`; a group such as `optim` is a file of",
        "`conf/`, and its keys are `optim.lr=...`. The default shown is the schema's; the files of",
        "`conf/` may set another, `python train.py --cfg job` prints what holds.",
    ]
    hints = get_type_hints(Config)
    parts: list[tuple[str, type]] = [("", Config)]
    parts += [(n.name, hints[n.name]) for n in fields(Config) if is_dataclass(hints[n.name])]
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


if __name__ == "__main__":
    print(document(), end="")
