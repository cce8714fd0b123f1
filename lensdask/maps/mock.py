"""What a survey sees of a simulated sky: galaxies at random places, with ellipticities of their own, behind stars.

The mean shear of the N galaxies in a pixel has the variance (sigma_e² + mean sigma_m²) / N in each component, sigma_e
being the dispersion of their own ellipticities and sigma_m the error of each measurement. N is Poisson's, so that
noise is uneven and some pixels know nothing: at 33 galaxies per arcmin² and 0.41' pixels N is 5.5, the noise 0.102 for
sigma_e = 0.24, and 0.4 per cent of the pixels are empty.

Measurement error
    The light of a faint galaxy drowns in that of the sky, so the error goes as 1 / flux, sigma_m = sigma_l 10^(0.4 (m
    - m_l)), up to the faintest galaxies that are used, of magnitude m_l, at which it is sigma_l. Their number goes as
    10^(0.3 m), so sigma_m = sigma_l u^(4/3) with an even chance u from 0 to 1: 0.43 sigma_l on average, 0.52 sigma_l
    root mean square. With sigma_l = 0.2, about that of a galaxy at a signal-to-noise ratio of 10, it adds 9 per cent
    to the noise.
Masks
    Discs stand for bright stars, radii R u^(10/3): many small ones, few large ones. A footprint is a map of 0 and 1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, index_like, like, namespace, to_numpy
from lensdask.errors import InputError, check_number
from lensdask.maps.fields import ShearMaps, check_same_shape, checked_pixel_scale, refuse_masked_maps
from lensdask.maps.footprints import read_footprint
from lensdask.random import Stream, generator, normals

__all__ = ["Survey", "galaxy_counts", "mock_catalogue", "observe"]

Float64 = npt.NDArray[np.float64]

_COUNT_SLOPE = 0.3
"""Slope of the logarithm of the number of galaxies with magnitude."""

_RADIUS_POWER = 10 / 3


@dataclass(frozen=True)
class Survey:
    """How galaxies sample the shear of a field.

    Parameters
    ----------
    density
        Galaxies per arcmin².
    sigma_e
        Dispersion of each component of the intrinsic ellipticity.
    measurement_error
        Error of the measurement of each component for the faintest galaxies; 0 for none.
    faintest
        Magnitude of those galaxies.
    mask_fraction
        Part of the field behind discs.
    mask_radius
        Largest disc, arcmin.
    footprint
        File with a map of the field, 1 inside the survey and 0 outside: FITS or .npy.

    Raises
    ------
    InputError
        A number is out of range.
    """

    density: float = 33.0
    sigma_e: float = 0.24
    measurement_error: float = 0.0
    faintest: float = 26.25
    mask_fraction: float = 0.0
    mask_radius: float = 2.7
    footprint: str | None = None

    def __post_init__(self) -> None:
        for name, (lowest, highest) in _RANGES.items():
            check_number(name, getattr(self, name), least=lowest, most=highest)
        if not isinstance(self.footprint, str | None):
            raise InputError(f"footprint: {self.footprint!r}; expected the name of a file, or None")


_RANGES = {
    "density": (1e-6, 1e12),
    "sigma_e": (1e-6, 10.0),
    "measurement_error": (0.0, 10.0),
    "faintest": (0.0, 40.0),
    "mask_fraction": (0.0, 0.95),
    "mask_radius": (1e-6, 1e4),
}
"""Least and largest of each number."""


def observe(ids: Array, g1: Array, g2: Array, model: Survey, pixel_scale: float, seed: int) -> ShearMaps:
    """Return what galaxies show of reduced shear.

    A pixel whose few galaxies give a mean beyond |g| = 1, one in a million at the default density, gets 1 / g*
    instead, since no ellipticity is above 1.

    Parameters
    ----------
    ids
        Ids of the fields, shape (field,), int64, where the shear is held; they key all that is random.
    g1, g2
        Reduced shear, shape (field, y, x).
    model
        Density, noise and masks.
    pixel_scale
        Arcmin.
    seed
        Seed of the run.

    Returns
    -------
    ShearMaps
        Of the library, the device and the type of the shear.

    Raises
    ------
    InputError
        Maps of different shapes, one id per field missing, a footprint of another shape.
    """
    pixel_scale = checked_pixel_scale(pixel_scale)
    refuse_masked_maps(g1=g1, g2=g2)
    check_same_shape(g1=g1, g2=g2)
    numbers = np.atleast_1d(to_numpy(ids)).astype(np.int64)
    if g1.ndim != 3 or len(numbers) != len(g1):
        raise InputError(
            f"g1, g2: shape {tuple(g1.shape)} for {len(numbers)} ids; expected (field, y, x), an id per field"
        )
    xp, shape = namespace(g1), tuple(g1.shape[-2:])
    drawn = [_one_field(int(number), shape, model, pixel_scale, seed) for number in numbers]
    weight, error, mask = (like(np.stack(arrays), g1) for arrays in zip(*drawn, strict=True))
    white = normals(index_like(numbers, g1), 2 * shape[0] * shape[1], seed, Stream.SHAPE_NOISE)
    white = xp.astype(xp.reshape(white, (-1, 2, *shape)), g1.dtype)
    seen = xp.astype(weight > 0, g1.dtype)
    noise = seen / xp.sqrt(xp.where(weight > 0, weight, xp.ones_like(weight)))
    g1, g2 = (seen * g + noise * white[:, i, ...] for i, g in enumerate((g1, g2)))
    # 1 / g* where |g| > 1; a mean of exactly 1 has no chance.
    square = xp.clip(g1**2 + g2**2, min=1.0)
    return ShearMaps(g1 / square, g2 / square, weight, error, mask)


def galaxy_counts(field_id: int, shape: tuple[int, int], model: Survey, pixel_scale: float, seed: int) -> Float64:
    """Return the number of galaxies in each pixel of a field, shape (y, x), as `observe` draws it."""
    counts = _poisson(generator(seed, Stream.COUNTS, field_id), shape, model, pixel_scale)
    return np.where(_mask(field_id, shape, model, pixel_scale, seed), counts, 0).astype(np.float64)


def _poisson(
    random: np.random.Generator, shape: tuple[int, int], model: Survey, pixel_scale: float
) -> npt.NDArray[np.int64]:
    return random.poisson(model.density * pixel_scale**2, shape)


def _one_field(
    field_id: int, shape: tuple[int, int], model: Survey, pixel_scale: float, seed: int
) -> tuple[Float64, Float64, Float64]:
    """Return inverse variance, mean measurement error and mask of one field, shape (y, x)."""
    random = generator(seed, Stream.COUNTS, field_id)
    counts = _poisson(random, shape, model, pixel_scale)
    mean, square = _mean_errors(random, counts, model)
    inside = _mask(field_id, shape, model, pixel_scale, seed)
    weight = np.where(inside, counts / (model.sigma_e**2 + square), 0.0)
    return weight, np.where(inside, mean, 0.0), inside.astype(np.float64)


def _mean_errors(random: np.random.Generator, counts: npt.NDArray[np.int64], model: Survey) -> tuple[Float64, Float64]:
    """Return mean and mean square of the measurement errors of the galaxies in each pixel, 0 where there is none."""
    if model.measurement_error == 0:
        return np.zeros(counts.shape), np.zeros(counts.shape)
    pixel = np.repeat(np.arange(counts.size), counts.ravel())
    errors = _errors(random.random(len(pixel)), model)
    divisor = np.maximum(counts, 1)
    mean, square = (
        np.bincount(pixel, e, minlength=counts.size).reshape(counts.shape) / divisor for e in (errors, errors**2)
    )
    return mean, square


def _errors(chance: Float64, model: Survey) -> Float64:
    """Return the measurement error of galaxies of which the part `chance` of all is brighter."""
    return np.asarray(model.measurement_error * chance ** (0.4 / _COUNT_SLOPE))


def _mask(field_id: int, shape: tuple[int, int], model: Survey, pixel_scale: float, seed: int) -> npt.NDArray[np.bool_]:
    """Return where a field is seen, shape (y, x)."""
    inside = np.ones(shape, dtype=bool) if model.footprint is None else read_footprint(model.footprint, pixel_scale)
    if inside.shape != shape:
        raise InputError(f"{model.footprint}: shape {inside.shape}; expected that of the fields, {shape}")
    if not inside.any():
        raise InputError(f"{model.footprint}: 0 everywhere; expected 1 inside the survey")
    if model.mask_fraction > 0:
        inside &= ~_discs(generator(seed, Stream.MASK, field_id), shape, model, pixel_scale)
    return inside


def _discs(
    random: np.random.Generator, shape: tuple[int, int], model: Survey, pixel_scale: float
) -> npt.NDArray[np.bool_]:
    """Return discs that cover the fraction of the model, by less than one disc too much, shape (y, x)."""
    height, width = shape
    behind = np.zeros(shape, dtype=bool)
    while np.count_nonzero(behind) < model.mask_fraction * behind.size:
        # Half a pixel at least, so that every disc hides something near its centre.
        radius = max(model.mask_radius / pixel_scale * random.random() ** _RADIUS_POWER, 0.5)
        y, x = random.random(2) * shape - 0.5
        rows = slice(max(int(np.ceil(y - radius)), 0), int(y + radius) + 1)
        columns = slice(max(int(np.ceil(x - radius)), 0), int(x + radius) + 1)
        dy, dx = np.arange(height)[rows, None] - y, np.arange(width)[None, columns] - x
        behind[rows, columns] |= dy**2 + dx**2 <= radius**2
    return behind


def mock_catalogue(
    field_id: int, g1: npt.ArrayLike, g2: npt.ArrayLike, model: Survey, pixel_scale: float, seed: int
) -> npt.NDArray[Any]:
    """Return a catalogue of galaxies over one field, each with the shear of its pixel.

    Parameters
    ----------
    field_id
        Keys all that is random. The galaxies are not those of `observe`, which draws none one by one.
    g1, g2
        Reduced shear, shape (y, x).
    model, pixel_scale, seed
        As for `observe`.

    Returns
    -------
    ndarray
        Columns x, y (arcmin from the centre of the field), g1, g2, weight (inverse variance), measurement_error,
        magnitude.

    Raises
    ------
    InputError
        Maps of different shapes, a footprint of another shape.
    """
    pixel_scale = checked_pixel_scale(pixel_scale)
    refuse_masked_maps(g1=g1, g2=g2)
    shear = np.asarray(g1, dtype=np.float64), np.asarray(g2, dtype=np.float64)
    check_same_shape(g1=shear[0], g2=shear[1])
    shape = shear[0].shape
    random = generator(seed, Stream.COUNTS, field_id)
    place = random.random((random.poisson(model.density * pixel_scale**2 * shear[0].size), 2)) * shape
    row, column = place.astype(np.int64).T
    chance = 1 - random.random(len(place))
    error = _errors(chance, model)
    sigma = np.sqrt(model.sigma_e**2 + error**2)
    ellipticity = [g[row, column] + sigma * random.normal(size=len(place)) for g in shear]
    square = np.maximum(ellipticity[0] ** 2 + ellipticity[1] ** 2, 1.0)
    y, x = ((place - np.array(shape) / 2) * pixel_scale).T
    columns = {
        "x": x,
        "y": y,
        "g1": ellipticity[0] / square,
        "g2": ellipticity[1] / square,
        "weight": 1 / sigma**2,
        "measurement_error": error,
        "magnitude": model.faintest + np.log10(chance) / _COUNT_SLOPE,
    }
    rows = np.recarray(len(place), [(name, np.float64) for name in columns])
    for name, values in columns.items():
        rows[name] = values
    return np.asanyarray(rows[_mask(field_id, shape, model, pixel_scale, seed)[row, column]])
