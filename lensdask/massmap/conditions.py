"""Whether shear maps are like those that a method is for: a network knows one survey, and another spoils its maps.

At the noise of their training the shipped networks have a smaller root mean square error than the Wiener filter, which
is told the noise. At less noise they soon become worse, at more noise some do, even on the sky that they know. From
which noise on is measured for each of them by ``docs/massmap_cards.py``, and on its card.
"""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.sky.sources import SOURCES

__all__ = ["Conditions", "ConditionsWarning", "differences", "trained_for", "warn_of_conditions"]

_SAME_NOISE = (0.8, 1.2)
"""Noise over that of its training that a network may meet whose card does not say more."""

_SAME_MASK = 0.25
"""Part of a field that may be hidden beyond what is expected."""

_LOOKED_AT = 8
"""Fields, at least if there are as many, whose masks and weights are looked at."""

_MEAN_SQUARE_ERROR = 3 / 11
"""Mean square of the measurement error of galaxies over that of the faintest, see `lensdask.maps.mock`."""


class ConditionsWarning(UserWarning):
    """A method was asked for the maps of another survey than it is for."""


class Conditions(NamedTuple):
    """What shear maps a method is for; None is what is not known."""

    noise: float | None = None
    """Dispersion of the mean of each component in an arcmin²."""
    source: str | None = None
    """Galaxies, one of `lensdask.sky.sources.SOURCES`."""
    hidden: float | None = None
    """Part of a field behind its mask."""
    noises: tuple[float, float] = _SAME_NOISE
    """Least and largest noise, over that of the training, that may be met."""
    losses: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """Noises, over that of the training, and the error there over that of the Wiener filter, as they were measured."""


def trained_for(card: Mapping[str, Any]) -> Conditions:
    """Return what the fields were like from which a network has learned, as far as its card says."""
    recipe, data = card.get("recipe") or {}, card.get("data") or {}
    if data.get("store"):
        return Conditions(_noise(data), _source(data))
    # A card of lensdask 0.1 says "noise".
    survey = recipe.get("survey") or recipe.get("noise") or {}
    # The share of a footprint that is hidden is not on the card.
    is_told = survey.get("footprint") is None and "mask_fraction" in survey
    hidden = float(survey["mask_fraction"]) if is_told else None
    return Conditions(_noise(survey), _source(recipe.get("sky") or {}), hidden, *_measured(card.get("other_noise")))


def _measured(part: Mapping[str, Any] | None) -> tuple[Any, ...]:
    """Return the noises that may be met, and the losses, as far as a card has them."""
    if part is None:
        return ()
    low, high = map(float, part["range"])
    ratios = tuple(float(ratio["value"]) for ratio in part["rmse / wiener"])
    return (low, high), (tuple(map(float, part["noises"])), ratios)


def _noise(survey: Mapping[Any, Any]) -> float | None:
    sigma_e, density = survey.get("sigma_e"), survey.get("density")
    if not (sigma_e and density):
        return None
    square = sigma_e**2 + _MEAN_SQUARE_ERROR * survey.get("measurement_error", 0.0) ** 2
    return float((square / density) ** 0.5)


def _source(known: Mapping[Any, Any]) -> str | None:
    source = known.get("source")
    return source if source in SOURCES else None


def differences(expected: Conditions, maps: xr.Dataset) -> tuple[str, str]:
    """Return in words what was expected and what maps have instead where it differs too much; else two empty strings.

    Parameters
    ----------
    expected
        What is not known of it, or not of the maps, is not compared.
    maps
        Dataset of the schema ``shear_maps``; its mask and weights are looked at in some of the fields.
    """
    pairs = list(_differences(expected, maps))
    return ", ".join(pair[0] for pair in pairs), ", ".join(pair[1] for pair in pairs)


def _differences(expected: Conditions, maps: xr.Dataset) -> Iterator[tuple[str, str]]:
    source, pixel_scale = _source(maps.attrs), maps.attrs["pixel_scale"]
    noise = _noise_per_pixel(maps) if expected.noise else np.nan
    trained = (expected.noise or np.nan) / pixel_scale
    # Of what is not known neither is true.
    if noise < trained * expected.noises[0] or noise > trained * expected.noises[1]:
        yield f"noise {trained:.2g} per pixel", f"noise {noise:.2g} per pixel{_loss(expected, noise / trained)}"
    if expected.source and source and expected.source != source:
        yield f"source {expected.source}", f"source {source}"
    if expected.hidden is not None and (hidden := _hidden(maps)) - expected.hidden > _SAME_MASK:
        yield f"{expected.hidden:.0%} behind masks", f"{hidden:.0%} behind masks"


def _loss(expected: Conditions, relative: float) -> str:
    """Return in words what the noise of maps costs, where that was measured."""
    if expected.losses is None:
        return ""
    noises, ratios = expected.losses
    if noises[0] <= relative <= noises[-1]:
        return f" (its error was {np.interp(relative, noises, ratios):.2f} times that of wiener there)"
    nearest = 0 if relative < noises[0] else -1
    at = f"{noises[nearest]:g} times the noise"
    return f" (its error was {ratios[nearest]:.2f} times that of wiener at {at}, and beyond was not measured)"


def _noise_per_pixel(maps: xr.Dataset) -> float:
    """Return the standard deviation of a component that the weights of pixels speak of; NaN if they say nothing."""
    seen = _some(maps, "weight")[_some(maps, "mask") > 0]
    mean = float(seen.mean(dtype=np.float64)) if seen.size else 0.0
    return mean**-0.5 if mean > 0 else np.nan


def _hidden(maps: xr.Dataset) -> float:
    mask = _some(maps, "mask")
    return np.count_nonzero(mask == 0) / max(mask.size, 1)


def _some(maps: xr.Dataset, name: str) -> npt.NDArray[Any]:
    # A field at the edge of a survey is not like the others, and all of a large one take long to read.
    step = max(1, maps.sizes["field"] // _LOOKED_AT)
    return np.asarray(maps[name].isel(field=slice(None, None, step)).values)


def warn_of_conditions(line: str) -> None:
    """Warn whoever calls the function that called `lensdask.massmap.method.method_for`."""
    warnings.warn(line, ConditionsWarning, stacklevel=5)
