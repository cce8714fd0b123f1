"""Trained networks of strong lenses: what their cards say, which lenses they take, and what they make of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from scipy.special import softmax

from lensdask.compute import NOT_IDENTITY, cached_model
from lensdask.data import load_card
from lensdask.errors import InputError
from lensdask.stronglens.nets.architectures import Network, build_network, network_outputs
from lensdask.stronglens.nets.loss import CLASSES, mass_of
from lensdask.stronglens.nets.training import CONDITIONS
from lensdask.stronglens.observed import UNKNOWN
from lensdask.training import find_weights, weights_file

__all__ = ["COLUMNS", "SHIPPED_WEIGHTS", "LensNetwork", "find_network", "networks"]

_WEIGHTS = Path(__file__).parent / "weights"

SHIPPED_WEIGHTS = {name: _WEIGHTS / f"{name}.safetensors" for name in sorted(p.stem for p in _WEIGHTS.glob("*.json"))}
"""Files of the networks that come with the package, by name."""

Float32 = npt.NDArray[np.float32]

_SAME_PIXELS = 0.05
"""By how much of a side pixels may differ from those that a network was trained on."""

_BATCH = {"cpu": 64, "cuda": 512}
"""Lenses in a call of the network."""

COLUMNS = {"classify": ("probability",), "mass": ("log10_mass", "log10_mass_error")}
"""What predictions hold, by task."""


@dataclass(frozen=True)
class LensNetwork:
    """A trained network: small enough to travel with every task."""

    location: str = field(metadata=NOT_IDENTITY)
    """Name of a shipped network, which every worker finds where lensdask is installed; otherwise the path."""
    sha256: str
    """Checksum of the weights."""
    task: str
    """What it is for, "classify" or "mass"."""
    inputs: tuple[str, ...]
    """Maps that it sees, "image" and "residual"."""
    calibration: float
    """Temperature of the logits, or factor of the errors, from the validation lenses."""
    offsets: tuple[float, ...]
    """Added to the logits over the temperature, by class; none for masses."""
    pixel_scale: float
    """Of the lenses that it was trained on, arcsec."""
    pixels: int
    """On a side of their images."""
    conditions: Mapping[str, str] = field(metadata=NOT_IDENTITY)
    """Their survey, preset, signal and noise, as far as the card says."""
    trained_on: tuple[str, ...] = field(metadata=NOT_IDENTITY)
    """``configuration_hash`` of these lenses, in all parts of the training."""

    @property
    def label(self) -> str:
        """Name for people, without folders."""
        return Path(self.location).stem

    def check(self, lenses: xr.Dataset, where: str) -> None:
        """Refuse lenses on other pixels than those of the training.

        Parameters
        ----------
        lenses
            Of the schema ``lenses``; values are not looked at.
        where
            Their name, for the message.

        Raises
        ------
        InputError
            Pixels have another size, or images are not square with an even number of pixels, as many as in training.
        """
        height, width = lenses.sizes["y"], lenses.sizes["x"]
        if height != width or height % 2:
            wanted = "square ones of an even number of pixels"
            raise InputError(f"{where}: images of {height} x {width} pixels; expected {wanted}")
        # Networks see so many pixels, or parts of a side, and not arcseconds.
        scale = float(lenses.attrs["pixel_scale"])
        if not abs(scale - self.pixel_scale) <= _SAME_PIXELS * self.pixel_scale:
            wanted = f"{self.pixel_scale:g}, on which {self.label} was trained"
            raise InputError(f"{where}: pixels of {scale:g} arcsec; expected {wanted}")
        if height != self.pixels:
            wanted = f"{self.pixels} on a side, on which {self.label} was trained"
            raise InputError(f"{where}: images of {height} x {width} pixels; expected {wanted}")

    def differences(self, attributes: Mapping[Any, Any]) -> list[str]:
        """Return the line that warns of lenses that are known to be unlike those of the training, if they are.

        Parameters
        ----------
        attributes
            Of the lenses.
        """
        other = [name for name, value in self.conditions.items() if attributes.get(name) not in (value, UNKNOWN)]
        if not other:
            return []
        wanted = ", ".join(f"{name} {self.conditions[name]}" for name in other)
        found = ", ".join(f"{name} {attributes.get(name)}" for name in other)
        advice = "what it says may be wrong; train a network on such lenses (lensdask stronglens train)"
        return [f"{self.label} is for {wanted}; the lenses have {found}: {advice}"]

    def predict(self, maps: Float32, device: str = "cpu") -> dict[str, Float32]:
        """Return what the network says of some lenses; a lens is the same to the bit whatever others are beside it.

        Parameters
        ----------
        maps
            What it sees, shape (lens, map, y, x), at least one lens.
        device
            "cpu" or "cuda".

        Returns
        -------
        dict
            ``probability``, shape (lens, class); or ``log10_mass`` and ``log10_mass_error``, shape (lens,).
        """
        path = weights_file(self.location, SHIPPED_WEIGHTS)
        network = cast(Network, cached_model(build_network, path, self.sha256, device))
        outputs = network_outputs(network, maps, device=device, batch=_BATCH[device]).astype(np.float64)
        if self.task == "classify":
            logits = outputs / self.calibration + np.array(self.offsets)
            return {"probability": softmax(logits, axis=1).astype(np.float32)}
        mean, error = (part.numpy() for part in mass_of(torch.from_numpy(outputs)))
        made = mean, self.calibration * error
        return {name: part.astype(np.float32) for name, part in zip(COLUMNS["mass"], made, strict=True)}


def networks() -> list[str]:
    """Return the names of the networks that come with the package; `find_network` takes these, and weights of yours."""
    return list(SHIPPED_WEIGHTS)


def find_network(name: str | Path = "lens-net") -> LensNetwork:
    """Return a trained network, after reading its weights once.

    Parameters
    ----------
    name
        Name of a network that comes with the package, or the path of a file of weights, ``*.safetensors``, from
        `lensdask.stronglens.train`.

    Raises
    ------
    InputError
        There is no such network, or its weights cannot be read or are not of a network of strong lenses.
    """
    ours = " a network of lensdask" * bool(SHIPPED_WEIGHTS)
    unknown = f"network {str(name)!r} is unknown; expected{ours}"
    found = find_weights(str(name), SHIPPED_WEIGHTS, build_network, unknown)
    card = load_card(weights_file(found.location, SHIPPED_WEIGHTS))
    try:
        task = card["recipe"]["task"]
        return LensNetwork(
            *found,
            task=task,
            inputs=tuple(card["recipe"]["inputs"]),
            calibration=float(card[{"classify": "temperature", "mass": "error_scale"}[task]]),
            offsets=_offsets(card) if task == "classify" else (),
            pixel_scale=float(card["pixel_scale"]),
            pixels=int(card["pixels"]),
            conditions={name: card[name] for name in CONDITIONS if name in card},
            trained_on=tuple(_trained_on(card)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{name}: the card lacks what a network of strong lenses must say ({error}); expected one from "
            "lensdask stronglens train"
        ) from error


def _offsets(card: Mapping[str, Any]) -> tuple[float, ...]:
    # Earlier cards have a temperature alone.
    offsets = tuple(map(float, card.get("offsets", [0.0] * len(CLASSES))))
    if len(offsets) != len(CLASSES) or not np.isfinite(offsets).all():
        raise ValueError(f"offsets {offsets}, expected {len(CLASSES)} finite numbers")
    return offsets


def _trained_on(card: Mapping[str, Any]) -> list[str]:
    earlier = card.get("started_from")
    return [card["lenses_hash"]] + (_trained_on(earlier) if earlier else [])
