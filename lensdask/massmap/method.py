"""The methods that make mass maps, by name: the classical ones, the shipped networks, anybody's weights."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite, nan
from pathlib import Path

import xarray as xr

from lensdask.compute import NOT_IDENTITY
from lensdask.data import SHEAR_MAPS, load_card
from lensdask.errors import InputError, check_choice, check_number
from lensdask.maps.fields import checked_pixel_scale
from lensdask.massmap.conditions import Conditions, differences, trained_for, warn_of_conditions
from lensdask.massmap.networks.architectures import build_network
from lensdask.sky.power import convergence_power
from lensdask.training import find_weights, weights_file

__all__ = ["METHODS", "SHIPPED_WEIGHTS", "Method", "find_method", "method_for", "methods"]

_CLASSICAL = {"ks93": "SIGMA", "ksplus": "SIGMA", "wiener": "SOURCE", "aperture": "THETA"}

METHODS = ", ".join(f"{name}[:{setting}]" for name, setting in _CLASSICAL.items())
"""The classical methods; scales are in arcmin, and the source says at which redshifts the galaxies are."""

SHIPPED_WEIGHTS = {
    name: Path(__file__).parent / "weights" / f"{name}.safetensors" for name in ("cha", "h21", "miu2net", "cosmos")
}
"""Files of the networks that come with the package."""

_SCALES = {"ks93": 1.5, "ksplus": 1.5, "aperture": 5.0}
"""Scale of a method that is named without one, arcmin. With 33 galaxies per arcmin² a smoothing of 1.5 arcmin leaves
Kaiser and Squires about the least error on lognormal fields."""

_SAME_PIXELS = 0.05
"""By how much of a side pixels may differ from those that a network was trained on."""


@dataclass(frozen=True)
class Method:
    """Which method makes the mass maps: small enough to travel with every task, enough to tell two runs apart."""

    name: str = field(metadata=NOT_IDENTITY)
    """As `find_method` takes it: for a network of the user's own, its path."""
    kind: str
    """``ks93``, ``ksplus``, ``wiener``, ``aperture`` or ``network``."""
    scale: float | None = None
    """Standard deviation of the smoothing of ``ks93`` and ``ksplus``, radius of the aperture, arcmin."""
    source: str | None = None
    """Galaxies whose convergence power the Wiener filter expects, one of `lensdask.sky.sources.SOURCES`."""
    resolution: float | None = None
    """Standard deviation of the Gaussian that smooths the sky that the Wiener filter expects, arcmin."""
    path: str | None = field(default=None, metadata=NOT_IDENTITY)
    """File of a network's weights, or the name of a shipped one, which workers find where they are installed."""
    sha256: str | None = None
    """Checksum of these weights."""
    symmetrised: bool = False
    """Whether maps are the mean over the eight turns and mirrors of the field, each turned back."""

    def __post_init__(self) -> None:
        """Refuse what is no method."""
        check_choice(f"method {self.name}", self.kind, (*_SCALES, "wiener", "network"))
        if self.scale is not None:
            check_number(f"method {self.name}: scale", self.scale, least=0, meaning="arcmin")
        if self.resolution is not None:
            check_number(f"method {self.name}: resolution", self.resolution, least=0, meaning="arcmin")

    @property
    def weights(self) -> Path:
        """File of the network's weights on this machine."""
        return weights_file(str(self.path), SHIPPED_WEIGHTS)

    @property
    def label(self) -> str:
        """Name for people, without folders."""
        name = Path(self.name).stem if self.kind == "network" else self.name
        return f"{name} symmetrised" if self.symmetrised else name


def methods() -> list[str]:
    """Return the names of the methods that come with the package: the classical ones, then the networks.

    `find_method` takes these, with settings, and weights of your own.
    """
    return [*_CLASSICAL, *SHIPPED_WEIGHTS]


def find_method(
    name: str | Path, *, source: str | None = None, resolution: float = 0.0, symmetrised: bool = False
) -> Method:
    """Return the method of a name.

    Parameters
    ----------
    name
        ``ks93`` or ``ks93:SIGMA``, Kaiser & Squires 1993 smoothed by a Gaussian of that standard deviation in arcmin;
        ``ksplus`` or ``ksplus:SIGMA``, the same after what the mask hides is filled in; ``wiener`` or
        ``wiener:SOURCE``, with the power for galaxies of that name; ``aperture`` or ``aperture:THETA``, the aperture
        mass in circles of that radius in arcmin; a network that comes with the package, ``cha``, ``h21``,
        ``miu2net`` or ``cosmos``; or the path of a network's weights.
    source
        The galaxies, for ``wiener`` that names none.
    resolution
        Standard deviation of the Gaussian that smooths the sky, arcmin: 0 for the true sky, more for a simulated one.
        Tells the Wiener filter what power to expect.
    symmetrised
        See `Method`.

    Raises
    ------
    InputError
        There is no such method, its setting makes no sense, or its weights cannot be read.
    """
    kind, colon, setting = str(name).partition(":")
    if kind in _SCALES:
        scale = _read_scale(str(name), kind, setting) if colon else _SCALES[kind]
        return Method(str(name), kind, scale=scale, symmetrised=symmetrised)
    if kind == "wiener":
        chosen = setting if colon else source
        if chosen is None:
            raise InputError(
                "method wiener: the maps do not name their source; expected wiener:SOURCE, such as wiener:lsst"
            )
        _check_source(chosen)
        return Method(str(name), kind, source=chosen, resolution=float(resolution), symmetrised=symmetrised)
    return _find_network(str(name), symmetrised)


def _read_scale(name: str, kind: str, setting: str) -> float:
    try:
        scale = float(setting)
    except ValueError:
        scale = nan
    if not (isfinite(scale) and (scale > 0 or (scale == 0 and kind != "aperture"))):
        raise InputError(f"method {name!r}: expected {kind}:SCALE, arcmin, such as {kind}:2.5")
    return scale


def _check_source(source: str) -> None:
    try:
        convergence_power(source)
    except InputError as error:
        raise InputError(f"method wiener: {error}; name the source redshifts, as in wiener:lsst") from error


def _find_network(name: str, symmetrised: bool) -> Method:
    unknown = f"method {name!r} is unknown; expected {METHODS}"
    found = find_weights(name, SHIPPED_WEIGHTS, build_network, unknown)
    return Method(name, "network", path=found.location, sha256=found.sha256, symmetrised=symmetrised)


def method_for(
    maps: xr.Dataset, name: str | Path, *, symmetrised: bool = False, warn: Callable[[str], None] = warn_of_conditions
) -> Method:
    """Return the method of a name for a dataset of shear maps, which says what galaxies and pixels it has.

    Parameters
    ----------
    maps
        Dataset of the schema ``shear_maps``.
    name, symmetrised
        As for `find_method`.
    warn
        Called with one line if the maps have other noise, galaxies or masks than a network was trained for, or other
        galaxies than the Wiener filter is told to expect.

    Raises
    ------
    InputError
        See `find_method`; a scale is larger than the fields, or a network was trained on pixels of another size.
    """
    known = maps.attrs
    pixel_scale = checked_pixel_scale(known["pixel_scale"])
    resolution = SHEAR_MAPS.attribute(maps, "resolution")
    method = find_method(name, source=known["source"], resolution=resolution, symmetrised=symmetrised)
    if method.scale is not None:
        side = pixel_scale * max(maps.sizes["y"], maps.sizes["x"])
        what = f"method {method.name}: scale"
        check_number(what, method.scale, most=side, meaning="arcmin, the longer side of a field")
    if method.kind == "wiener":
        advice = f"use wiener:{known['source']}, or correct the source of the maps"
        _compare(maps, method, Conditions(source=method.source), advice, warn)
    if method.kind == "network":
        trained, survey = _training(method, pixel_scale)
        # A network's kernels are so many pixels: with other pixels it would look at other scales of the sky.
        if abs(pixel_scale - trained) > _SAME_PIXELS * trained:
            raise InputError(
                f"pixels of {pixel_scale:g} arcmin; expected {trained:g}, on which {method.label} was trained "
                f"(simulate or bin with pixel_scale={trained:g})"
            )
        advice = "train a network on such maps (lensdask massmap train), or use wiener"
        _compare(maps, method, survey, advice, warn)
    return method


def _training(method: Method, pixel_scale: float) -> tuple[float, Conditions]:
    """Return the pixels that a network was trained on, those of the maps if its card does not say, and the survey."""
    card = load_card(method.weights)
    try:
        return float(card.get("pixel_scale", pixel_scale)), trained_for(card)
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{method.weights.with_suffix('.json')}: {error}; expected the card of a trained network"
        ) from error


def _compare(maps: xr.Dataset, method: Method, expected: Conditions, advice: str, warn: Callable[[str], None]) -> None:
    """Warn if the maps are not as expected."""
    wanted, found = differences(expected, maps)
    if wanted:
        warn(f"{method.label} is for {wanted}; the maps have {found}: {advice}")
