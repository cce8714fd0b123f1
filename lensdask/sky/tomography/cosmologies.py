"""The cosmologies that are simulated, the hull around them, and a second set that calibrates what is inferred.

Flat ΛCDM of Kacprzak & Fluri 2022, with Ω_b, h and n_s fixed. Their 57 points (Ω_m, σ₈) are not public; ours are a
Sobol set in 0.15 <= Ω_m <= 0.45, 0.55 <= S₈ <= 1.05, 0.5 <= σ₈ <= 1.2, with the fiducial one. The calibration set is
another Sobol set, uniform in Ω_m and S₈ inside the hull of the first: a sample of the prior that no network or
likelihood learns from. ``docs/lss_theory.py`` made both.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lensdask.data.rows import read_rows
from lensdask.errors import InputError, check_number
from lensdask.sky.cosmology import Cosmology
from lensdask.sky.tomography.tables import read_table

__all__ = [
    "FIDUCIAL",
    "HUBBLE",
    "N_S",
    "OMEGA_B",
    "OMEGA_M",
    "S8",
    "SIGMA8",
    "calibration_cosmologies",
    "choose_cosmologies",
    "grid_cosmologies",
    "hull_distance",
    "in_hull",
    "is_tabulated",
    "tomography_cosmology",
]

Float64 = npt.NDArray[np.float64]

FIDUCIAL = (0.2915, 0.7835)
"""Ω_m and σ₈ of the mock survey."""

HUBBLE, OMEGA_B, N_S = 0.6736, 0.0493, 0.9649
"""What all cosmologies share: the Hubble constant in 100 km / s / Mpc, the baryons, the slope of primordial power."""

OMEGA_M = (0.15, 0.45)
"""Least and largest Ω_m."""

SIGMA8 = (0.5, 1.2)
"""Least and largest σ₈."""

S8 = (0.55, 1.05)
"""Least and largest S₈ = σ₈ √(Ω_m / 0.3) of the grid."""

_DECIMALS = 4


def tomography_cosmology(omega_m: float, sigma8: float) -> Cosmology:
    """Return the flat ΛCDM of Kacprzak & Fluri 2022 at some Ω_m and σ₈.

    Both have four decimals at the most: they are part of the key of every random number of a tile.

    Raises
    ------
    InputError
        One is out of its range or has more decimals, or S₈ is out of its range.
    """
    for name, value, (least, most) in (("omega_m", omega_m, OMEGA_M), ("sigma8", sigma8, SIGMA8)):
        check_number(name, value, least=least, most=most)
        if round(value, _DECIMALS) != value:
            raise InputError(f"{name}: {value}; expected a number of {_DECIMALS} decimals at the most")
    clumpiness = sigma8 * (omega_m / 0.3) ** 0.5
    if not S8[0] <= clumpiness <= S8[1]:
        raise InputError(f"S8 of omega_m {omega_m}, sigma8 {sigma8}: {clumpiness:.4g}; expected {S8[0]} to {S8[1]}")
    return Cosmology(h=HUBBLE, omega_m=float(omega_m), omega_b=OMEGA_B, sigma8=float(sigma8), n_s=N_S)


def grid_cosmologies() -> Float64:
    """Return Ω_m and σ₈ of the 57 cosmologies, shape (cosmology, 2).

    The fiducial one is the first, then come the 13 corners of the hull: the first 14 or more span all of it.
    """
    return _points(calibration=False)


def calibration_cosmologies() -> Float64:
    """Return Ω_m and σ₈ of the calibration set, none of them in the grid, shape (cosmology, 2)."""
    return _points(calibration=True)


def _points(*, calibration: bool) -> Float64:
    table = read_table()
    points = np.stack([table["omega_m"], table["sigma8"]], axis=1)
    return np.asarray(points[table["calibration"] == calibration], dtype=np.float64)


def hull_distance(omega_m: npt.ArrayLike, sigma8: npt.ArrayLike) -> Float64:
    """Return how far inside the convex hull of the grid points are: 0 on its edge, negative outside.

    Parameters
    ----------
    omega_m, sigma8
        They broadcast.

    Returns
    -------
    ndarray
        Distance from the nearest edge, or its prolongation, where the ranges of Ω_m and σ₈ have the length 1.
    """
    x, y = (np.asarray(v, dtype=np.float64) for v in _scaled(omega_m, sigma8))
    a, b, c = _hull_equations().T
    return np.asarray(-(a * x[..., None] + b * y[..., None] + c).max(axis=-1))


def is_tabulated(cosmology: Cosmology) -> bool:
    """Return whether the matter power of a cosmology is in the table that ships."""
    points = np.concatenate([grid_cosmologies(), calibration_cosmologies()])
    found = (points == (cosmology.omega_m, cosmology.sigma8)).all(axis=1).any()
    shared = (cosmology.h, cosmology.omega_b, cosmology.n_s, cosmology.w)
    return shared == (HUBBLE, OMEGA_B, N_S, -1.0) and bool(found)


def in_hull(omega_m: npt.ArrayLike, sigma8: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return whether cosmologies are inside the convex hull of the grid; its corners are.

    Parameters
    ----------
    omega_m, sigma8
        They broadcast.
    """
    # The corners themselves are outside by the rounding of a number.
    return np.asarray(hull_distance(omega_m, sigma8) >= -1e-9)


def _scaled(omega_m: npt.ArrayLike, sigma8: npt.ArrayLike) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    x = (np.asarray(omega_m, dtype=np.float64) - OMEGA_M[0]) / (OMEGA_M[1] - OMEGA_M[0])
    y = (np.asarray(sigma8, dtype=np.float64) - SIGMA8[0]) / (SIGMA8[1] - SIGMA8[0])
    return x, y


@lru_cache(maxsize=1)
def _hull_equations() -> Float64:
    """Return a, b, c of each edge: a x + b y + c is the distance outwards."""
    from scipy.spatial import ConvexHull

    corners = np.stack(_scaled(*grid_cosmologies().T), axis=1)
    return np.asarray(ConvexHull(corners).equations, dtype=np.float64)


def choose_cosmologies(which: int | str | Path) -> tuple[Cosmology, ...]:
    """Return some cosmologies.

    Parameters
    ----------
    which
        How many of the grid; ``"calibration"`` for that set, ``"calibration:N"`` for its first N; or a text file with
        Ω_m and σ₈ in each row.

    Raises
    ------
    InputError
        There are not so many, or the file is not one of cosmologies.
    """
    text = str(which)
    name, _, number = text.partition(":")
    if name == "calibration":
        return _first("calibration", calibration_cosmologies(), number or None)
    if text.lstrip("-").isdecimal():
        return _first("grid", grid_cosmologies(), text)
    return _read_cosmologies(Path(text))


def _first(name: str, points: Float64, number: str | None) -> tuple[Cosmology, ...]:
    count = len(points) if number is None else int(number) if number.isdecimal() else 0
    if not 1 <= count <= len(points):
        raise InputError(f"cosmologies: {number} of the {name}; expected a whole number from 1 to {len(points)}")
    return tuple(tomography_cosmology(*point) for point in points[:count].tolist())


def _read_cosmologies(path: Path) -> tuple[Cosmology, ...]:
    points = read_rows(path, 2, "Ω_m and σ₈")
    found = []
    for row, point in enumerate(points.tolist(), 1):
        try:
            found.append(tomography_cosmology(*point))
        except InputError as error:
            raise InputError(f"{path}, row {row}: {error}") from error
    if len(set(found)) < len(found):
        raise InputError(f"{path}: a cosmology stands in it twice; expected different ones")
    return tuple(found)
