"""Which keys of network, encoder and decoder go together; no torch.

A key that the chosen network has no use for is refused: it would be silently without effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from effunet.errors import UsageError
from effunet.model.architectures import ARCHITECTURES
from effunet.model.scaling import published
from effunet.training.config.network import Decoder, Encoder
from effunet.training.config.schema import Config


def check_network(config: Config, where: str) -> None:
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
    for name in ("numerics", "stem_rule") if encoder.weights == "none" else ():
        if getattr(encoder, name) != "auto":
            raise UsageError(
                f"{where}: encoder.{name} goes with encoder.weights: add them, or leave"
                f" encoder.{name} out"
            )
    if network.reset_head and config.init_from is None:
        raise UsageError(
            f"{where}: network.reset_head goes with init_from alone: any other head is fresh anyway"
        )
    if network.name == "effunet":
        try:
            config.decoder.plan(published("b0"))
        except ValueError as fault:
            raise UsageError(f"{where}: {fault}") from fault
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
        names = [item.name for item in fields(encoder) if not item.name.startswith("freeze")]
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
    _refuse_changed(config.decoder, "decoder", ["name", "widths", "repeats"], where, of_ours)
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
