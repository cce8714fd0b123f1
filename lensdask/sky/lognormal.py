"""Shifted lognormal convergence fields: the quickest sky with the right power, variance and skewness.

A convergence map is far from Gaussian: most lines of sight are a little empty, a few run through a cluster. The shifted
lognormal field (Hilbert, Hartlap & Schneider 2011, A&A 536, A85; Xavier, Abdalla & Joachimi 2016, MNRAS 459, 3693) ::

    κ = λ (exp(g - σ_g² / 2) - 1)

of a Gaussian field g never falls below -λ, the convergence of an empty line of sight, and has a long tail of peaks. Its
correlation function is ξ = λ² (exp(ξ_g) - 1), so g is drawn with ξ_g = ln(1 + ξ / λ²), on the grid, and the power of κ
is the one asked for. What the field lacks: its peaks have no profile, mass or redshift of a cluster, and there are no
filaments, since all of it follows from the power and the one-point distribution.

Not every ξ_g belongs to a Gaussian field: the wanted power can need negative power of g on some waves, which is set to
0, and `lost_variance` says how much of the variance of g that takes: little at the shifts of real sources, a 70th at
twice the `least_shift`, a sixth a hundredth above it. Below it ξ < -λ² somewhere, and there is no field at all.
"""

import math
from functools import lru_cache
from numbers import Integral, Real

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, constant, held_on, namespace
from lensdask.conventions import ARCMIN
from lensdask.errors import InputError, check_number
from lensdask.fourier import half_plane, multipoles
from lensdask.random import Stream, normals
from lensdask.sky.power import ConvergencePower
from lensdask.sky.sources import Source

__all__ = [
    "check_field",
    "check_shift",
    "empty_convergence",
    "gaussian_power",
    "least_shift",
    "lognormal_maps",
    "lognormal_of_noise",
    "lost_variance",
    "padded_size",
    "plane_variance",
    "smooth_periodic",
]

Float64 = npt.NDArray[np.float64]

_LARGEST_AREA = 2**15
"""Pixels on a side: 8 GB for a map of double precision, of which there are several."""


_LARGEST_SHIFT = 1e3


def empty_convergence(source: Source) -> float:
    """Return the shift λ for a distribution of sources: minus the convergence of an empty line of sight.

    The fit of Hilbert, Hartlap & Schneider 2011 to ray tracing through the Millennium simulation, for source planes up
    to redshift 3.5; convergence is a mean over the sources, and so is λ.
    """
    z = source.redshift
    shift = z * (0.008 + z * (0.029 + z * (-0.0079 + z * 0.00065)))
    return float(shift @ source.share)


def padded_size(size: int, padding: float) -> int:
    """Return the pixels on a side of the periodic area that a field of `size` pixels is cut from, even."""
    return 2 * math.ceil(size * padding / 2)


def lognormal_maps(
    ids: npt.ArrayLike,
    *,
    size: int,
    pixel_scale: float,
    power: ConvergencePower,
    shift: float,
    seed: int,
    padding: float = 2.0,
    resolution: float = 0.0,
    device: str = "cpu",
) -> Array:
    """Return shifted lognormal convergence maps, one for each id.

    A field is cut from the corner of a periodic area `padding` times as large, so that it is not periodic itself; with
    ``padding=1`` the whole area is returned, which makes its lensing by Fourier transforms exact.

    Parameters
    ----------
    ids
        Ids of the fields, 0 to 2^63, shape (map,). A map depends on its id and the seed alone.
    size
        Pixels on a side.
    pixel_scale
        Arcmin per pixel.
    power
        Power of the field before it is smoothed.
    shift
        λ, minus the least convergence there can be; see `empty_convergence` and `least_shift`.
    seed
        Seed of the run.
    padding
        Side of the periodic area over that of the field, 1 or more.
    resolution
        Standard deviation, in arcmin, of a Gaussian that smooths the lognormal field.
    device
        "cpu", where maps are NumPy's, or "cuda", where they are torch's.

    Returns
    -------
    Array
        Convergence, float32, shape (map, size, size).

    Raises
    ------
    InputError
        A number is out of its range.
    """
    check_field(size, pixel_scale, padding, resolution)
    area = padded_size(size, padding)
    check_shift(shift, least_shift(area=area, pixel_scale=pixel_scale, power=power))
    numbers = held_on(np.asarray(ids, dtype=np.int64), device)
    xp = namespace(numbers)
    grid = (area, pixel_scale, tuple(power.ell), tuple(power.power), shift)
    # One field at a time: no result can then depend on which others are made beside it.
    maps = []
    for one in range(len(numbers)):
        white = normals(numbers[one : one + 1], area * area, seed, Stream.SKY).reshape(area, area)
        amplitude = constant(_gaussian_amplitude, *grid, reference=white)
        kappa = shift * lognormal_of_noise(white, amplitude, _gaussian_variance(*grid))
        maps.append(smooth_periodic(kappa, pixel_scale, resolution)[:size, :size])
    return xp.stack(maps)


def lognormal_of_noise(white: Array, amplitude: Array, variance: Array | float) -> Array:
    """Return periodic lognormal fields over their shift: exp(g - σ_g² / 2) - 1.

    Parameters
    ----------
    white
        White noise of unit variance, shape (..., n, n), of NumPy, CuPy or torch.
    amplitude
        Square root of the power of g in units of that noise, on the half plane, shape (..., n, n // 2 + 1).
    variance
        σ_g², of a shape that broadcasts with the noise.
    """
    xp = namespace(white)
    gaussian = xp.fft.irfftn(xp.fft.rfftn(white, axes=(-2, -1)) * amplitude, s=white.shape[-2:], axes=(-2, -1))
    return xp.expm1(gaussian - variance / 2)


def smooth_periodic(maps: Array, pixel_scale: float, sigma: float) -> Array:
    """Return periodic maps, shape (..., n, n), convolved with a Gaussian of standard deviation sigma arcmin."""
    if sigma == 0:
        return maps
    xp = namespace(maps)
    window = constant(_window, maps.shape[-1], pixel_scale, sigma, reference=maps)
    return xp.fft.irfftn(xp.fft.rfftn(maps, axes=(-2, -1)) * window, s=maps.shape[-2:], axes=(-2, -1))


def least_shift(*, area: int, pixel_scale: float, power: ConvergencePower) -> float:
    """Return the shift λ above which there is a lognormal field with this power: √(-ξ) where ξ is least.

    Parameters
    ----------
    area
        Pixels on a side of the periodic area.
    pixel_scale, power
        As in `lognormal_maps`.
    """
    return _least_shift(area, pixel_scale, tuple(power.ell), tuple(power.power))


@lru_cache(maxsize=16)
def _least_shift(area: int, pixel_scale: float, ell: tuple[float, ...], power: tuple[float, ...]) -> float:
    return math.sqrt(max(-float(_correlation(area, pixel_scale, ell, power).min()), 0.0))


def check_shift(shift: float, least: float) -> None:
    """Refuse a shift that is not above the least one.

    Raises
    ------
    InputError
        It is not, or it is so large that a map of single precision, which keeps 1e-7 of it, would show no field.
    """
    if not (isinstance(shift, Real) and least < shift <= _LARGEST_SHIFT):
        # A hundredth more, so that the rounded number is itself accepted.
        what = "below which no lognormal field has the power of this sky"
        raise InputError(f"shift: {shift}; expected a number from {1.01 * least:.3g}, {what}, to {_LARGEST_SHIFT:g}")


def lost_variance(*, area: int, pixel_scale: float, power: ConvergencePower, shift: float) -> float:
    """Return the share of the variance of the Gaussian field that its waves of negative power take away when set to 0.

    Parameters
    ----------
    area
        Pixels on a side of the periodic area.
    pixel_scale, power, shift
        As in `lognormal_maps`.
    """
    wanted = _gaussian_power(area, pixel_scale, tuple(power.ell), tuple(power.power), shift)
    kept = np.maximum(wanted, 0.0)
    return float(1 - plane_variance(wanted) / plane_variance(kept))


def check_field(size: int, pixel_scale: float, padding: float, resolution: float) -> None:
    """Refuse numbers out of their range; arguments as in `lognormal_maps`.

    Raises
    ------
    InputError
        One is.
    """
    if not isinstance(size, Integral) or size < 2 or size % 2:
        raise InputError(f"size: {size} pixels; expected an even number, 2 or more")
    check_number("pixel_scale", pixel_scale, least=1e-3, most=1e3, meaning="arcmin")
    check_number("padding", padding, least=1, most=100)
    check_number("resolution", resolution, least=0, most=size * pixel_scale, meaning="arcmin")
    area = padded_size(size, padding)
    degrees = area * pixel_scale / 60
    if area > _LARGEST_AREA or degrees > 180:
        raise InputError(
            f"size: {size} pixels, {area} or {degrees:.4g} degrees with the padding of {padding}; expected "
            f"{_LARGEST_AREA} pixels and 180 degrees at the most"
        )


def gaussian_power(power: Float64, shift: float) -> Float64:
    """Return the power of the Gaussian field g of a lognormal field, some of it negative where there is no such field.

    Parameters
    ----------
    power
        Power of the lognormal field in units of white noise, on the half plane, shape (n, n // 2 + 1), n even.
    shift
        λ.

    Returns
    -------
    ndarray
        In the same units, of the same shape.
    """
    return _gaussian_of(np.fft.irfft2(power), shift)


def _gaussian_of(correlation: Float64, shift: float) -> Float64:
    return np.fft.rfft2(np.log1p(correlation / shift**2)).real


def plane_variance(plane: Float64) -> float:
    """Return the variance of a square field whose power is given on the half plane in units of white noise."""
    return float((plane @ half_plane(plane.shape[0])).sum() / plane.shape[0] ** 2)


def _correlation(area: int, pixel_scale: float, ell: tuple[float, ...], power: tuple[float, ...]) -> Float64:
    """Return the correlation function of the field on the periodic grid, ξ(y, x) from the corner."""
    l1, l2 = multipoles((area, area), pixel_scale)
    target = ConvergencePower(np.array(ell), np.array(power)).at(np.hypot(l1, l2)) / (pixel_scale * ARCMIN) ** 2
    return np.fft.irfft2(target, s=(area, area))


def _gaussian_power(
    area: int, pixel_scale: float, ell: tuple[float, ...], power: tuple[float, ...], shift: float
) -> Float64:
    """Return the power of the Gaussian field in units of its white noise, some of it negative, on the half plane."""
    return _gaussian_of(_correlation(area, pixel_scale, ell, power), shift)


def _gaussian_amplitude(
    area: int, pixel_scale: float, ell: tuple[float, ...], power: tuple[float, ...], shift: float
) -> Float64:
    """Return what turns white noise of unit variance into the Gaussian field."""
    return np.asarray(np.sqrt(np.maximum(_gaussian_power(area, pixel_scale, ell, power, shift), 0.0)))


@lru_cache(maxsize=16)
def _gaussian_variance(
    area: int, pixel_scale: float, ell: tuple[float, ...], power: tuple[float, ...], shift: float
) -> float:
    return plane_variance(_gaussian_amplitude(area, pixel_scale, ell, power, shift) ** 2)


def _window(area: int, pixel_scale: float, sigma: float) -> Float64:
    """Return the transform of a Gaussian of that standard deviation."""
    l1, l2 = multipoles((area, area), pixel_scale)
    return np.asarray(np.exp(-((l1**2 + l2**2) * (sigma * ARCMIN) ** 2) / 2))
