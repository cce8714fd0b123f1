"""The galaxies of a shear catalogue: their columns, what is refused of them, and what each of them is worth."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError, check_number
from lensdask.maps.tangent import north_angle, tangent_plane

__all__ = ["Galaxies", "checked_galaxies", "on_plane"]

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
    positions: tuple[str, str] = ("x", "y"),
) -> tuple[Galaxies, float]:
    """Return the galaxies of a catalogue, and the dispersion of a component of their ellipticity.

    Parameters
    ----------
    x, y, g1, g2, weight, error, sigma_e
        As for `lensdask.massmap.bin_catalogue`.
    positions
        What errors call x and y.

    Raises
    ------
    InputError
        Columns of different lengths, values that are not finite, |g| >= 1 for many, negative weights or errors, no
        weight above 0, a dispersion that is not positive.
    """
    count = np.size(x)
    weight = np.ones(count) if weight is None else weight
    error = np.zeros(count) if error is None else error
    names = (*positions, "g1", "g2", "weight", "measurement_error")
    # FITS columns have another byte order, which makes every later step slow.
    columns = [np.asarray(column, dtype=np.float64) for column in (x, y, g1, g2, weight, error)]
    for name, column in zip(names, columns, strict=True):
        _check_column(name, column, count)
    x, y, g1, g2, weight, error = columns
    _check_modulus(np.hypot(g1, g2))
    if not weight.any():
        raise InputError("weight: 0 for every galaxy; expected some above 0")
    intrinsic, variance = _variances(g1, g2, weight, error, sigma_e)
    return Galaxies(x, y, g1, g2, weight, error, variance), intrinsic


def _check_column(name: str, column: Float64, count: int) -> None:
    if column.shape != (count,) or not count:
        raise InputError(f"{name}: shape {column.shape}; expected one value for each galaxy, {(count,)}, at least one")
    if broken := np.count_nonzero(~np.isfinite(column)):
        raise InputError(f"{name}: not finite for {broken} of {count} galaxies; expected numbers")
    if name in ("weight", "measurement_error") and (lowest := column.min()) < 0:
        raise InputError(f"{name}: {lowest:.4g} for a galaxy; expected 0 or more")


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
