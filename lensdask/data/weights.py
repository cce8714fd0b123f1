"""Weights of networks: a safetensors file, with a JSON card beside it that says how it was made.

Pickle runs whatever code it contains, so it is neither written nor read. What a network answers follows from its card
too, from the arguments of the architecture or its pixel scale, so the card has a checksum of its own.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensdask.data.files import read_json, read_whole, write_whole
from lensdask.errors import InputError

if TYPE_CHECKING:
    import torch

__all__ = ["load_card", "load_into", "load_weights", "save_weights"]

PathLike = str | os.PathLike[str]

_SEAL = "card_sha256"
"""Entry of a card with the checksum of the others."""

_MEASURED = {_SEAL, "measured", "other_noise"}
"""Entries that are added once a network is trained, and decide nothing."""

_HISTORY = {*_MEASURED, "loss", "validation", "wall_s", "cpu_s"}
"""Entries that may have numbers that are not finite."""


def save_weights(path: PathLike, state_dict: "Mapping[str, torch.Tensor]", card: Mapping[str, Any]) -> dict[str, Any]:
    """Write weights and their card, and return the card.

    Parameters
    ----------
    path
        File of the weights, ``*.safetensors``; the card is ``*.json`` beside it.
    state_dict
        Tensors by name, on any device.
    card
        At least "architecture" (name of the network) and "config" (its arguments), plain JSON. The
        sha256 of the weights is filled in.

    Raises
    ------
    InputError
        The name does not end in .safetensors, or the card lacks an entry.
    """
    from safetensors.torch import save

    path = Path(path)
    _check_card(_card_path(path), card)
    data = save({name: t.detach().cpu().contiguous() for name, t in state_dict.items()})
    whole = {**card, "sha256": hashlib.sha256(data).hexdigest()}
    whole |= {_SEAL: _seal(whole)}
    text = json.dumps(whole, indent=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
    write_whole(_card_path(path), f"{text}\n".encode())
    return whole


def load_card(path: PathLike) -> dict[str, Any]:
    """Return the card of the weights at `path`.

    Raises
    ------
    InputError
        The card is missing, is not JSON, lacks an entry, has a number that is not finite, or was changed. Cards of
        earlier versions have no checksum, and may be changed.
    """
    card_path = _card_path(Path(path))
    card = read_json(card_path, "the card of the weights")
    _check_card(card_path, card)
    if not isinstance(card.get("sha256"), str):
        raise InputError(f"{card_path} has no 'sha256'; expected that of {Path(path).name}")
    for name in card.keys() - _HISTORY:
        if not _is_finite(card[name]):
            raise InputError(f"{card_path}: {name} has a number that is not finite; expected finite ones")
    if card.get(_SEAL, wanted := _seal(card)) != wanted:
        raise InputError(
            f"{card_path} was changed since it was written; expected the card of {Path(path).name} as it was"
        )
    return dict(card)


def _seal(card: Mapping[str, Any]) -> str:
    """Return the checksum of a card, which does not depend on the order of its entries."""
    # As read back: JSON has no tuples.
    kept = {name: entry for name, entry in card.items() if name not in _MEASURED}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _is_finite(entry: Any) -> bool:
    if isinstance(entry, Mapping):
        return all(map(_is_finite, entry.values()))
    if isinstance(entry, list):
        return all(map(_is_finite, entry))
    return not isinstance(entry, float) or math.isfinite(entry)


def load_weights(path: PathLike, sha256: str | None = None) -> "dict[str, torch.Tensor]":
    """Return the tensors of a file of weights, on the CPU.

    Parameters
    ----------
    path
        File of the weights, ``*.safetensors``, with its card beside it.
    sha256
        The weights that are wanted; by default those of the card.

    Raises
    ------
    InputError
        Weights or card are missing, the file is damaged, or it is another one than wanted.
    """
    import safetensors
    from safetensors.torch import load

    path = Path(path)
    data = read_whole(path, "weights")
    found = hashlib.sha256(data).hexdigest()
    for expected in (load_card(path)["sha256"], sha256 or found):
        if found != expected:
            raise InputError(f"{path} has sha256 {found[:12]}…; expected {expected[:12]}…")
    try:
        return load(data)
    except safetensors.SafetensorError as error:
        raise InputError(f"{path} is damaged: {error}; expected a safetensors file") from error


def load_into(network: "torch.nn.Module", path: PathLike, sha256: str | None = None) -> None:
    """Give a network the weights of a file.

    Parameters
    ----------
    network
        Of the architecture on the card of the weights.
    path, sha256
        As for `load_weights`.

    Raises
    ------
    InputError
        See `load_weights`; or the weights are those of another network than their card says, of other types of number,
        or not finite.
    """
    weights = load_weights(path, sha256)
    for name, own in network.state_dict().items():
        found = weights.get(name, own)
        if found.dtype != own.dtype:
            raise InputError(f"{path}: {name} is of type {found.dtype}; expected {own.dtype}")
        if not bool(found.isfinite().all()):
            raise InputError(f"{path}: {name} has a number that is not finite; expected finite weights")
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        architecture = load_card(path)["architecture"]
        raise InputError(f"{path}: weights of another architecture than {architecture!r}: {detail}") from error


def _card_path(path: Path) -> Path:
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: weights have the suffix {path.suffix!r}; expected .safetensors")
    return path.with_suffix(".json")


def _check_card(path: Path, card: object) -> None:
    if not isinstance(card, Mapping) or not {"architecture", "config"} <= set(card):
        raise InputError(f"{path}: expected a card with entries 'architecture' and 'config'")
