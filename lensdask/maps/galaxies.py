"""The galaxies of a shear catalogue: their columns, what is refused of them, and what each of them is worth."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.data.catalogues.columns import as_numbers, usable_rows
from lensdask.errors import InputError, check_number
from lensdask.maps.tangent import north_angle, tangent_plane

__all__ = ["Galaxies", "checked_galaxies", "on_plane", "warn_of_density"]

Float64 = npt.NDArray[np.float64]


class Galaxies(NamedTuple):
    """Columns of a catalogue, each of shape (galaxy,)."""

    x: Float64
    y: Float64
    g1: Float64
    g2: Float64
    weight: Float64
    error: Float64
    """Standard deviation of the measurement of each component."""
    variance: Float64
    """Of each component, with the measurement."""

    def among(self, chosen: npt.NDArray[Any]) -> "Galaxies":
        """Return the galaxies of an index or a mask."""
        return Galaxies(*(column[chosen] for column in self))


def checked_galaxies(
    x: Any,
    y: Any,
    g1: Any,
    g2: Any,
    weight: Any,
    error: Any,
    sigma_e: float | None,
    *,
    sky: bool = False,
    positions: tuple[str, str] = ("x", "y"),
    drop_bad: bool = False,
    warn: Callable[[str], None],
) -> tuple[Galaxies, float]:
    """Return the galaxies of a catalogue that have a weight, and the dispersion of a component of their ellipticity.

    Parameters
    ----------
    x, y, g1, g2, weight, error, sigma_e, sky, drop_bad, warn
        As for `lensdask.massmap.bin_catalogue`.
    positions
        What errors call x and y.

    Raises
    ------
    InputError
        Columns of different lengths, units that cannot be converted, values that are not finite, |g| >= 1 for many,
        negative weights or errors, no weight above 0, a dispersion that is not positive.
    """
    unit = "deg" if sky else "arcmin"
    given = {positions[0]: (x, unit), positions[1]: (y, unit), "g1": (g1, ""), "g2": (g2, "")}
    given |= {name: (column, "") for name, column in {"measurement_error": error}.items() if column is not None}
    columns = {name: as_numbers(name, *column) for name, column in given.items()}
    if weight is not None:
        # Only their ratios count.
        columns["weight"] = as_numbers("weight", getattr(weight, "value", weight))
    for name, column in columns.items():
        _check_shape(name, column.shape, columns[positions[0]].size)
    rows, line = usable_rows(columns, drop_bad=drop_bad)
    if line:
        warn(line)
    return _galaxies(rows, positions, sigma_e)


def _check_shape(name: str, shape: tuple[int, ...], count: int) -> None:
    if shape != (count,) or not count:
        raise InputError(f"{name}: shape {shape}; expected one value for each galaxy, {(count,)}, at least one")


def _galaxies(rows: dict[str, Float64], positions: tuple[str, str], sigma_e: float | None) -> tuple[Galaxies, float]:
    x, y, g1, g2 = (rows[name] for name in (*positions, "g1", "g2"))
    if not len(x):
        raise InputError("weight: 0 for every galaxy; expected some above 0")
    weight, error = rows.get("weight", np.ones(len(x))), rows.get("measurement_error", np.zeros(len(x)))
    for name, column in {"weight": weight, "measurement_error": error}.items():
        if (lowest := column.min()) < 0:
            raise InputError(f"{name}: {lowest:.4g} for a galaxy; expected 0 or more")
    _check_modulus(np.hypot(g1, g2))
    intrinsic, variance = _variances(g1, g2, weight, error, sigma_e)
    return Galaxies(x, y, g1, g2, weight, error, variance), intrinsic


_STRAY, _STRAYS = 1.5, 0.02
"""Highest |g| of an estimate, and the part of a catalogue whose estimates may be 1 or more: noise over a response."""


def _check_modulus(modulus: Float64) -> None:
    strays = np.count_nonzero(modulus >= 1)
    if strays > _STRAYS * len(modulus) or modulus.max() >= _STRAY:
        raise InputError(
            f"g1, g2: |g| is 1 or more for {strays} of {len(modulus)} galaxies, at most {modulus.max():.3g}; "
            f"expected reduced shears, with noisy estimates below {_STRAY} for {_STRAYS:.0%} of them at most"
        )


def _variances(
    g1: Float64, g2: Float64, weight: Float64, error: Float64, sigma_e: float | None
) -> tuple[float, Float64]:
    """Return the dispersion of a component of the ellipticity, and the variance of each galaxy with its measurement."""
    if sigma_e is None:
        square = weight**2
        total = (square * (g1**2 + g2**2)).sum() / (2 * square.sum())
        if total == 0:
            raise InputError("sigma_e: not given, and the shears are all 0; expected the dispersion of each component")
        return float(np.sqrt(total)), np.full(len(square), total)
    check_number("sigma_e", sigma_e, above=0, meaning="the dispersion of each component")
    return float(sigma_e), sigma_e**2 + error**2


def on_plane(galaxies: Galaxies, centre: tuple[float, float]) -> Galaxies:
    """Return galaxies of the sky in the tangent plane of a field, arcmin, their shear against its axes.

    Raises
    ------
    InputError
        See `lensdask.massmap.tangent_plane`.
    """
    x, y = tangent_plane(galaxies.x, galaxies.y, centre)
    turned = (galaxies.g1 + 1j * galaxies.g2) * np.exp(2j * north_angle(x, y, centre[1]))
    return galaxies._replace(x=x, y=y, g1=turned.real, g2=turned.imag)


_HIGHEST_DENSITY = 500.0
"""Galaxies per arcmin² that no catalogue has: the deepest images from space have some hundred."""

_FEW = 100
"""Galaxies below which chance makes any density."""


def warn_of_density(count: float, density: float, warn: Callable[[str], None]) -> None:
    """Warn where galaxies lie so close together that their positions must be in another unit.

    Parameters
    ----------
    count
        Galaxies on the maps.
    density
        Per arcmin² of the footprint.
    warn
        Gets the line.
    """
    if count >= _FEW and density > _HIGHEST_DENSITY:
        warn(f"{density:.3g} galaxies per arcmin²; expected {_HIGHEST_DENSITY:g} at most: check the unit of positions")
