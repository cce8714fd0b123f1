"""Galaxies to simulate: a parametric mock of the CatSim catalogue, or the user's own CatSim file.

A CatSim galaxy is the sum of two components that share a centre: an exponential disc (columns
ending in ``_d`` or ``_disk``) and a de Vaucouleurs bulge (``_b`` or ``_bulge``). The ellipse that
holds half the light of a component has semi-axes a >= b, so its circularised half-light radius is
``sqrt(a b)`` and its axis ratio ``q = b / a``. The magnitude ``i_ab`` sets the flux of the galaxy;
of the ``fluxnorm`` columns only the ratios count, ``B/T = fluxnorm_bulge / (fluxnorm_bulge +
fluxnorm_disk)``. A component that a galaxy lacks has axes, angle and fluxnorm 0.

The catalogue of the LSST data challenge DC1 (``OneDegSq.fits``) cannot be redistributed. Without it
the mock stands in: its columns have the units and meaning of the file's, and it follows the
distributions of 100 of its rows.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lensdask.data.catalogues.columns import as_numbers, warn_of_catalogue
from lensdask.data.tables import read_columns
from lensdask.errors import InputError
from lensdask.random import Stream, generator

__all__ = [
    "COLUMNS",
    "MAGNITUDE_LIMIT",
    "CatSim",
    "Galaxies",
    "MockCatSim",
    "galaxies",
    "mock_galaxies",
    "read_catsim",
]

Floats = npt.NDArray[np.float64]
Galaxies = npt.NDArray[np.void]
"""Structured array with the fields of ``COLUMNS``, one row per galaxy."""

COLUMNS = {
    "galtileid": "id: of the galaxy in the file, of the simulated galaxy in the mock",
    "redshift": "redshift",
    "fluxnorm_bulge": "weight of the bulge in the light of the galaxy",
    "fluxnorm_disk": "weight of the disc",
    "fluxnorm_agn": "weight of the nucleus, a point source; the mock has none",
    "a_b": "semi-major axis of the bulge's half-light ellipse [arcsec]",
    "a_d": "semi-major axis of the disc's half-light ellipse [arcsec]",
    "b_b": "semi-minor axis of the bulge's half-light ellipse [arcsec]",
    "b_d": "semi-minor axis of the disc's half-light ellipse [arcsec]",
    "pa_bulge": "position angle of the bulge [degrees]",
    "pa_disk": "position angle of the disc [degrees]",
    "i_ab": "AB magnitude in the i band",
}
"""The columns that lensdask keeps, with their meaning.

``ra``, ``dec`` and the magnitudes in the other bands are neither read nor made: the galaxies are
simulated alone on their stamps, in the i band.
"""

MAGNITUDE_LIMIT = 25.3
"""The i-band limit of the LSST "gold" sample of lensing sources."""

_UNITS = dict.fromkeys(("a_b", "a_d", "b_b", "b_d"), "arcsec") | {"pa_bulge": "deg", "pa_disk": "deg"}

_DTYPE = np.dtype([(name, "i8" if name == "galtileid" else "f8") for name in COLUMNS])

# Parameters of the mock, fitted to 100 rows of the CatSim catalogue except where another source is
# named. A quantity that changes with magnitude is exp(slope (i - 24)) times its value at i = 24.
_BRIGHTEST, _FAINTEST = 17.0, 28.0  # the range of magnitudes that the fits describe
_COUNTS_BREAK = 25.0
# Slopes of log10 dN/di; the bright one is the LSST Science Book's, N(<i) = 46 * 10^(0.31 (i - 25)).
_COUNTS_SLOPE_BRIGHT, _COUNTS_SLOPE_FAINT = 0.31, 0.15
# Axes in arcsec, slopes and scatters of the natural logarithm.
_DISC_AXIS, _DISC_AXIS_SLOPE, _DISC_AXIS_SCATTER = 0.40, -0.15, 0.55
_DISC_THICKNESS, _DISC_INCLINATION_POWER = 0.22, 0.8
_BULGE_SHARE, _BULGE_FADES_AT, _BULGE_FADES_OVER = 0.5, 26.5, 0.4
_SPHEROID_SHARE, _SPHEROID_MIN, _SPHEROID_RANGE = 0.1, 0.8, 0.3
_BULGE_RATIO, _BULGE_RATIO_SLOPE, _BULGE_RATIO_SCATTER = 0.063, -0.25, 0.9
_BULGE_AXIS, _BULGE_AXIS_SLOPE, _BULGE_AXIS_SCATTER = 0.35, -0.157, 0.45
_BULGE_FLATTENING, _BULGE_FLATTENING_POWER = 0.36, 1.5
# Weight of a galaxy of magnitude 0; only the ratio of the weights is ever used.
_FLUXNORM = 5e-8


class _Uniform(IntEnum):
    """Which uniform draw makes what. A new parameter takes a free number below 16."""

    MAGNITUDE = 0
    DISC_INCLINATION = 1
    HAS_BULGE = 2
    IS_SPHEROID = 3
    SPHEROID_RATIO = 4
    BULGE_FLATTENING = 5
    ANGLE = 6
    REDSHIFT = 7  # and the two after it


class _Normal(IntEnum):
    """Which normal draw makes what. A new parameter takes a free number below 8."""

    DISC_AXIS = 0
    BULGE_AXIS = 1
    BULGE_RATIO = 2


@dataclass(frozen=True)
class MockCatSim:
    """The parametric mock, as a source of galaxies brighter than a limit in the i band."""

    magnitude_limit: float = MAGNITUDE_LIMIT

    def __post_init__(self) -> None:
        """Refuse a limit that the mock does not describe."""
        _check_limit(self.magnitude_limit)

    @property
    def fingerprint(self) -> str:
        """What a run must record to be repeated with the same galaxies."""
        return f"mock i<{self.magnitude_limit}"


@dataclass(frozen=True, eq=False)
class CatSim:
    """Galaxies read from a file, drawn with replacement to be simulated."""

    rows: Galaxies

    @cached_property
    def fingerprint(self) -> str:
        """What a run must record to be repeated with the same galaxies: the sha256 of the rows."""
        return hashlib.sha256(self.rows.tobytes()).hexdigest()


def galaxies(source: MockCatSim | CatSim, seed: int, pair_ids: Sequence[int] | npt.NDArray[np.int64]) -> Galaxies:
    """Return the galaxy of each id.

    A galaxy depends on the source, the seed and its own id, not on the ids asked for with it.

    Parameters
    ----------
    source
        The mock, or a catalogue whose rows are drawn with equal chances.
    seed
        Seed of the run.
    pair_ids
        Ids of the simulated galaxies (the orthogonal pair of an id shares one galaxy), shape (n,).

    Returns
    -------
    Galaxies
        Shape (n,), fields as in ``COLUMNS``, in the order of the ids.
    """
    if isinstance(source, MockCatSim):
        return mock_galaxies(seed, pair_ids, source.magnitude_limit)
    count = len(source.rows)
    chosen = [
        generator(seed, Stream.GALAXY, number).integers(count)
        for number in np.asarray(pair_ids, dtype=np.int64).tolist()
    ]
    return source.rows[np.asarray(chosen, dtype=np.intp)]


def read_catsim(
    path: str | Path, magnitude_limit: float = MAGNITUDE_LIMIT, *, warn: Callable[[str], None] = warn_of_catalogue
) -> CatSim:
    """Read the galaxies of a CatSim table that are brighter than a limit.

    Rows without a disc and without a bulge (bare nuclei) are left out, and so are rows with a missing value, with a
    warning.

    Parameters
    ----------
    path
        A file with the columns of ``COLUMNS``, as the table of ``OneDegSq.fits`` has them; others are ignored. FITS,
        Parquet, HDF5, ECSV or CSV.
    magnitude_limit
        Keep galaxies with ``i_ab`` below this AB magnitude.
    warn
        Gets a line on rows with a missing value; by default a Python warning.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, holds values that are not finite or not those
        of an ellipse, or has no galaxy brighter than the limit.
    """
    rows = _read_columns(path, warn)
    # A magnitude that is not a number is kept here, so that it is reported below and not lost.
    rows = rows[(rows["i_ab"] < magnitude_limit) | np.isnan(rows["i_ab"])]
    for name in COLUMNS:
        _require(np.isfinite(rows[name]), path, f"column {name}", "finite numbers")
    for part, axis in (("bulge", "b"), ("disk", "d")):
        weight, a, b = rows[f"fluxnorm_{part}"], rows[f"a_{axis}"], rows[f"b_{axis}"]
        _require(weight >= 0, path, f"column fluxnorm_{part}", "numbers of at least 0")
        is_ellipse = (b > 0) & (b <= a)
        _require(is_ellipse | (weight == 0), path, f"columns a_{axis}, b_{axis}", "0 < b <= a")
    rows = rows[rows["fluxnorm_bulge"] + rows["fluxnorm_disk"] > 0]
    if not len(rows):
        raise InputError(
            f"{path}: no galaxy with a disc or a bulge has i_ab < {magnitude_limit}; expected at least one"
        )
    return CatSim(rows)


def _read_columns(path: str | Path, warn: Callable[[str], None]) -> Galaxies:
    """Copy columns of a table into a structured array, without the rows that lack a value."""
    columns = read_columns(path, list(COLUMNS), f"CatSim galaxies with {' '.join(COLUMNS)}")
    missing = np.logical_or.reduce([np.ma.getmaskarray(column) for column in columns.values()])
    if lost := np.count_nonzero(missing):
        warn(f"{path}: dropped {lost} of {len(missing)} galaxies with a missing value")
    rows = np.zeros(len(missing) - lost, dtype=_DTYPE)
    for name, column in columns.items():
        # Ids may be larger than the whole numbers that a float holds; of the others only angles have units to convert.
        unit = _UNITS.get(name)
        values = column.data.data if unit is None else as_numbers(f"{path}: column {name}", column, unit).data
        rows[name] = values[~missing]
    return rows


def _require(good: npt.NDArray[np.bool_], path: str | Path, where: str, expected: str) -> None:
    """Raise an ``InputError`` that counts the rows that are not good."""
    bad = int(np.count_nonzero(~good))
    if bad:
        raise InputError(f"{path}: {where}: {bad} of {len(good)} galaxies are bad; expected {expected}")


def mock_galaxies(
    seed: int,
    pair_ids: Sequence[int] | npt.NDArray[np.int64],
    magnitude_limit: float = MAGNITUDE_LIMIT,
) -> Galaxies:
    """Return mock CatSim galaxies, one for each id.

    - Counts per magnitude rise as 10^(0.31 i) to i = 25, and as 10^(0.15 i) beyond.
    - Discs: log-normal semi-major axis with median ``0.40 exp(-0.15 (i - 24))`` arcsec and scatter
      0.55 in ln; axis ratio ``0.22 + 0.78 u^0.8`` for u uniform in [0, 1], close to that of discs
      of thickness 0.22 seen from random directions (edge-on ones are dimmer, hence rarer).
    - Bulges: half of the galaxies have one at i < 25.5, few at i > 27. B/T is log-normal with
      median ``0.063 exp(-0.25 (i - 24))`` and scatter 0.9 in ln, but one bulge in ten is a spheroid
      with B/T >= 0.8, a third of these without any disc. The semi-major axis follows the magnitude
      m of the bulge alone, ``0.35 exp(-0.157 (m - 24))`` arcsec, with scatter 0.45 in ln; the axis
      ratio is ``1 - 0.36 u^1.5``.
    - Disc and bulge share one position angle, uniform in [0, 360).
    - Redshifts have the form of the LSST Science Book, ``p(z) ~ z² exp(-z / z0)`` with
      ``z0 = 0.0417 i - 0.744``.

    Parameters
    ----------
    seed
        Seed of the run.
    pair_ids
        Ids of the simulated galaxies, shape (n,).
    magnitude_limit
        All galaxies are brighter than this i-band AB magnitude, above 17 and at most 28.

    Returns
    -------
    Galaxies
        Shape (n,), fields as in ``COLUMNS``, in the order of the ids.

    Raises
    ------
    InputError
        If the magnitude limit is outside the range that the mock describes.
    """
    _check_limit(magnitude_limit)
    ids = np.asarray(pair_ids, dtype=np.int64)
    uniform, normal = _draw(seed, ids)
    rows = np.zeros(len(ids), dtype=_DTYPE)
    rows["galtileid"] = ids
    rows["i_ab"] = _magnitude(uniform[_Uniform.MAGNITUDE], magnitude_limit)
    rows["redshift"] = _redshift(uniform, rows["i_ab"])
    ratio = _bulge_to_total(uniform, normal, rows["i_ab"])
    angle = 360.0 * uniform[_Uniform.ANGLE]
    _add_component(rows, "disk", "d", 1.0 - ratio, angle, _disc_axes(uniform, normal, rows["i_ab"]))
    _add_component(rows, "bulge", "b", ratio, angle, _bulge_axes(uniform, normal, rows, ratio))
    return rows


def _check_limit(magnitude_limit: float) -> None:
    if not _BRIGHTEST < magnitude_limit <= _FAINTEST:
        raise InputError(
            f"magnitude limit {magnitude_limit} of the mock catalogue; expected a number above"
            f" {_BRIGHTEST} and at most {_FAINTEST}"
        )


def _draw(seed: int, ids: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Draw 16 uniform and 8 normal numbers for each id; return shapes (16, n) and (8, n).

    More numbers are drawn than used: a parameter added to the mock later takes a spare one, and the
    galaxies keep all their other properties.
    """
    uniform, normal = np.empty((len(ids), 16)), np.empty((len(ids), 8))
    for row, number in enumerate(ids.tolist()):
        random = generator(seed, Stream.GALAXY, number)
        random.random(out=uniform[row])
        random.standard_normal(out=normal[row])
    return uniform.T, normal.T


def _magnitude(uniform: Floats, limit: float) -> Floats:
    """Invert the cumulative counts of a broken power law between the brightest and the limit."""
    s, t = _COUNTS_SLOPE_BRIGHT, _COUNTS_SLOPE_FAINT

    def counts(i: float) -> float:
        x = i - _COUNTS_BREAK
        return float(10.0 ** (s * x) / s if x < 0 else 1 / s + (10.0 ** (t * x) - 1) / t)

    low, high = counts(_BRIGHTEST), counts(limit)
    n = low + uniform * (high - low)
    x = np.where(n < 1 / s, np.log10(s * n) / s, np.log10(1 + t * (n - 1 / s)) / t)
    # Rounding must not carry a galaxy to the limit, which is excluded.
    magnitude: Floats = np.minimum(x + _COUNTS_BREAK, np.nextafter(limit, -np.inf))
    return magnitude


def _redshift(uniform: Floats, i_ab: Floats) -> Floats:
    """Draw from z² exp(-z / z0): the sum of three exponential deviates of mean z0."""
    three = uniform[_Uniform.REDSHIFT : _Uniform.REDSHIFT + 3]
    # The published line was measured at 20 < i < 25 and would fall below 0 at i < 17.9.
    z0 = np.maximum(0.0417 * i_ab - 0.744, 0.05)
    deviates: Floats = -np.log1p(-three)
    redshift: Floats = z0 * np.sum(deviates, axis=0)
    return redshift


def _bulge_to_total(uniform: Floats, normal: Floats, i_ab: Floats) -> Floats:
    """Draw B/T: 0 without a bulge, small in spirals, and 0.8 to 1 in spheroids."""
    spiral = _line(i_ab, _BULGE_RATIO, _BULGE_RATIO_SLOPE)
    spiral *= np.exp(_BULGE_RATIO_SCATTER * normal[_Normal.BULGE_RATIO])
    spheroid = _SPHEROID_MIN + _SPHEROID_RANGE * uniform[_Uniform.SPHEROID_RATIO]
    is_spheroid = uniform[_Uniform.IS_SPHEROID] < _SPHEROID_SHARE
    ratio = np.where(is_spheroid, np.minimum(spheroid, 1.0), np.minimum(spiral, _SPHEROID_MIN))
    share = _BULGE_SHARE / (1.0 + np.exp((i_ab - _BULGE_FADES_AT) / _BULGE_FADES_OVER))
    return np.where(uniform[_Uniform.HAS_BULGE] < share, ratio, 0.0)


def _disc_axes(uniform: Floats, normal: Floats, i_ab: Floats) -> tuple[Floats, Floats]:
    """Draw the semi-axes of the disc in arcsec."""
    a = _line(i_ab, _DISC_AXIS, _DISC_AXIS_SLOPE)
    a *= np.exp(_DISC_AXIS_SCATTER * normal[_Normal.DISC_AXIS])
    cos_inclination = uniform[_Uniform.DISC_INCLINATION] ** _DISC_INCLINATION_POWER
    return a, a * (_DISC_THICKNESS + (1.0 - _DISC_THICKNESS) * cos_inclination)


def _bulge_axes(uniform: Floats, normal: Floats, rows: Galaxies, ratio: Floats) -> tuple[Floats, Floats]:
    """Draw the semi-axes of the bulge in arcsec, larger for a brighter bulge."""
    # The caller discards the axes of galaxies without a bulge; 1 keeps their logarithm finite.
    magnitude = rows["i_ab"] - 2.5 * np.log10(np.where(ratio > 0, ratio, 1.0))
    a = _line(magnitude, _BULGE_AXIS, _BULGE_AXIS_SLOPE)
    a *= np.exp(_BULGE_AXIS_SCATTER * normal[_Normal.BULGE_AXIS])
    flattening = uniform[_Uniform.BULGE_FLATTENING] ** _BULGE_FLATTENING_POWER
    return a, a * (1.0 - _BULGE_FLATTENING * flattening)


def _line(magnitude: Floats, at_24: float, slope: float) -> Floats:
    """Return the quantity whose logarithm is linear in the magnitude."""
    return at_24 * np.exp(slope * (magnitude - 24.0))


def _add_component(
    rows: Galaxies, part: str, axis: str, share: Floats, angle: Floats, axes: tuple[Floats, Floats]
) -> None:
    """Fill the columns of one component in place, leaving 0 where it has no light."""
    has_light = share > 0
    rows[f"fluxnorm_{part}"] = _FLUXNORM * share * 10.0 ** (-0.4 * rows["i_ab"])
    rows[f"a_{axis}"] = np.where(has_light, axes[0], 0.0)
    rows[f"b_{axis}"] = np.where(has_light, axes[1], 0.0)
    rows[f"pa_{part}"] = np.where(has_light, angle, 0.0)
