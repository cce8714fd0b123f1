"""Profiles of clusters in mass maps: the NFW halo that fits best, and what stands out of its rings.

Section 4.3 of Cha et al. 2025: a Navarro-Frenk-White halo fitted to the convergence of the Coma cluster gives its mass,
and the convergence in sectors about its centre shows the filaments that end in it.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from scipy.optimize import least_squares

from lensdask.errors import InputError
from lensdask.maps.statistics.metrics import Float64, Maps, footprint
from lensdask.sky.cosmology import CHA, Cosmology
from lensdask.sky.nfw import Definition, Halo, nfw_convergence, nfw_shear
from lensdask.sky.sources import Source

__all__ = ["AzimuthalProfile", "HaloFit", "RadialProfile", "azimuthal_profile", "fit_halo", "radial_profile"]

_MASSES = (1e12, 1e17)
_CONCENTRATIONS = (1.01, 50.0)
_MARGIN = 4.0
"""Standard deviations of the smoothing by which a model reaches beyond the outermost ring."""


class RadialProfile(NamedTuple):
    """Mean convergence in rings about a place."""

    edges: Float64
    """Radii of the rings, arcmin, shape (ring + 1,)."""
    kappa: Float64
    """Mean of the pixels whose centres lie in each ring, shape (ring,)."""
    scatter: Float64
    """Standard deviation of these pixels."""
    pixels: npt.NDArray[np.int64]
    """How many they are."""


class AzimuthalProfile(NamedTuple):
    """Mean convergence in sectors about a place."""

    angle: Float64
    """Middle of each sector, degrees from x towards y, shape (sector,)."""
    kappa: Float64
    """Mean over the rings of the mean of each sector of a ring."""
    excess: Float64
    """The same less the mean of the ring."""
    error: Float64
    """Standard error of the excess, from the scatter between rings; NaN for one ring."""


@dataclass(frozen=True)
class HaloFit:
    """The NFW halo that fits a profile best."""

    mass: float
    """Msun, by the definition that was asked for."""
    concentration: float
    """Radius that holds the mass over the scale radius."""
    mass_range: tuple[float, float]
    """Masses one standard deviation in log mass below and above."""
    concentration_range: tuple[float, float]
    """The same of the concentration; equal where it was held fixed."""
    chi2: float
    """Sum of the squared residuals in units of the errors."""
    degrees: int
    """Rings less parameters."""


def _offsets(shape: tuple[int, ...], centre: tuple[float, float], pixel_scale: float) -> tuple[Float64, Float64]:
    """Return y and x of pixels from a place, arcmin, as columns and rows."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - centre[0]) * pixel_scale, (x - centre[1]) * pixel_scale


def radial_profile(
    kappa: Maps, centre: tuple[float, float], edges: Float64, *, pixel_scale: float, mask: Maps | None = None
) -> RadialProfile:
    """Return the mean convergence in rings.

    Parameters
    ----------
    kappa
        One map, shape (y, x).
    centre
        Row and column, from 0, not necessarily whole.
    edges
        Radii of the rings, rising, arcmin.
    pixel_scale
        Arcmin.
    mask
        Footprint; everything when none.

    Raises
    ------
    InputError
        The map is not finite inside the mask, or a ring has no pixel inside it.
    """
    inside = footprint(kappa[None], mask=mask)[0]
    ring = _rings(kappa.shape, centre, edges, pixel_scale)[inside]
    values = kappa[inside].astype(np.float64)
    parts = [values[ring == number] for number in range(len(edges) - 1)]
    empty = [number for number, part in enumerate(parts) if not part.size]
    if empty:
        low, high = edges[empty[0]], edges[empty[0] + 1]
        raise InputError(f"ring of {low:g} to {high:g} arcmin: no pixel inside the mask; expected wider or fewer rings")
    mean, scatter = (np.array([moment(part) for part in parts]) for moment in (np.mean, np.std))
    return RadialProfile(np.asarray(edges, dtype=np.float64), mean, scatter, np.array([p.size for p in parts]))


def _rings(
    shape: tuple[int, ...], centre: tuple[float, float], edges: Float64, pixel_scale: float
) -> npt.NDArray[np.int64]:
    """Return the ring of each pixel; -1 or the number of rings where it lies in none."""
    return np.searchsorted(edges, np.hypot(*_offsets(shape, centre, pixel_scale)), side="right") - 1


def azimuthal_profile(
    kappa: Maps,
    centre: tuple[float, float],
    edges: Float64,
    sectors: int,
    *,
    pixel_scale: float,
    mask: Maps | None = None,
) -> AzimuthalProfile:
    """Return the convergence in sectors about a place, and its excess over the mean of each ring.

    The mean of a ring holds the round halo and the background; what is left tells of filaments and neighbours.

    Parameters
    ----------
    kappa
        One map, shape (y, x).
    centre
        Row and column, from 0.
    edges
        Radii of the rings, rising, arcmin; each ring counts alike.
    sectors
        Number of sectors; the first begins on the x axis.
    pixel_scale
        Arcmin.
    mask
        Footprint; everything when none. A sector of a ring without pixels inside is left out.

    Raises
    ------
    InputError
        The map is not finite inside the mask, or a sector has no pixel inside it in any ring.
    """
    inside = footprint(kappa[None], mask=mask)[0]
    rings = len(edges) - 1
    ring = _rings(kappa.shape, centre, edges, pixel_scale)
    turn = np.arctan2(*_offsets(kappa.shape, centre, pixel_scale)) / (2 * np.pi) % 1.0
    used = inside & (ring >= 0) & (ring < rings)
    cell = ring[used] * sectors + (turn[used] * sectors).astype(np.int64) % sectors
    count, total = (
        np.bincount(cell, w, rings * sectors).reshape(rings, sectors) for w in (None, kappa[used].astype(np.float64))
    )
    known = count > 0
    if not known.any(axis=0).all():
        raise InputError(f"{sectors} sectors: one has no pixel inside the mask; expected fewer sectors, or wider rings")
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=known)
    of_ring = np.divide(total.sum(axis=1), count.sum(axis=1), out=np.full(rings, np.nan), where=known.any(axis=1))
    excess = mean - of_ring[:, None]
    number = known.sum(axis=0)
    variance = np.nanvar(excess, axis=0) * number / np.where(number > 1, number - 1, np.nan)
    angle = (np.arange(sectors) + 0.5) * 360 / sectors
    return AzimuthalProfile(angle, np.nanmean(mean, axis=0), np.nanmean(excess, axis=0), np.sqrt(variance / number))


def fit_halo(
    profile: RadialProfile,
    error: Float64,
    *,
    redshift: float,
    source: Source,
    pixel_scale: float,
    smoothing: float = 0.0,
    concentration: float | None = None,
    background: float = 0.0,
    definition: Definition = "200c",
    cosmology: Cosmology = CHA,
) -> HaloFit:
    """Return the NFW halo whose map, smoothed and binned like the profile, fits it best.

    The mass-sheet degeneracy makes the zero of a map a matter of its method: state it as ``background``. Least squares
    in log mass and log concentration.

    Parameters
    ----------
    profile
        From `radial_profile`. Leave out the rings inside the resolution of the map, and those that neighbours fill.
    error
        Standard error of the mean in each ring. Pixels of a map are correlated: take it from maps of noise, since
        ``scatter / √pixels`` is too small.
    redshift
        Of the halo.
    source
        Redshifts of the sources that the map is of.
    pixel_scale
        Of the map, arcmin.
    smoothing
        Standard deviation of the Gaussian that smoothed the map, arcmin.
    concentration
        Held fixed when given.
    background
        κ of the map far from the halo.
    definition
        "200c" or "200m": density that the mean within the radius is 200 times of, critical or of matter.
    cosmology
        Of the distances.

    Raises
    ------
    InputError
        There are fewer rings than parameters, or errors are not above 0.
    """
    free = 1 if concentration is not None else 2
    if len(profile.kappa) < free or not (error > 0).all():
        raise InputError(f"{len(profile.kappa)} rings; expected at least {free}, and errors above 0")
    model = partial(
        _model,
        edges=profile.edges,
        pixel_scale=pixel_scale,
        smoothing=smoothing,
        redshift=redshift,
        source=source,
        definition=definition,
        cosmology=cosmology,
    )

    def residuals(logs: Float64) -> Float64:
        c = concentration if concentration is not None else float(np.exp(logs[1]))
        return (profile.kappa - background - model(float(np.exp(logs[0])), c)) / error

    limits = np.log(np.array([_MASSES, _CONCENTRATIONS])[:free]).T
    found = least_squares(residuals, np.log([1e14, 5.0])[:free], bounds=limits, x_scale=0.3, diff_step=1e-4)
    return _as_fit(found.x, found.jac, 2 * found.cost, len(error) - free, concentration)


def _as_fit(logs: Float64, jacobian: Float64, chi2: float, degrees: int, concentration: float | None) -> HaloFit:
    errors = np.sqrt(np.diag(np.linalg.pinv(jacobian.T @ jacobian)))
    low, best, high = np.exp(logs - errors), np.exp(logs), np.exp(logs + errors)
    if concentration is None:
        return HaloFit(float(best[0]), float(best[1]), _pair(low, high, 0), _pair(low, high, 1), float(chi2), degrees)
    fixed = (concentration, concentration)
    return HaloFit(float(best[0]), concentration, _pair(low, high, 0), fixed, float(chi2), degrees)


def _pair(low: Float64, high: Float64, number: int) -> tuple[float, float]:
    return float(low[number]), float(high[number])


def _model(
    mass: float,
    concentration: float,
    *,
    edges: Float64,
    pixel_scale: float,
    smoothing: float,
    redshift: float,
    source: Source,
    definition: Definition,
    cosmology: Cosmology,
) -> Float64:
    """Return the means in rings of a halo that was pixelised and smoothed like the map."""
    half = int(np.ceil((edges[-1] + _MARGIN * smoothing) / pixel_scale))
    shape, centre = (2 * half + 1, 2 * half + 1), (half, half)
    theta = np.hypot(*_offsets(shape, centre, pixel_scale))
    # At the centre the convergence is infinite. A disc of the area of a pixel stands for the pixel there: the mean
    # within a radius is convergence plus tangential shear.
    theta[centre] = pixel_scale / np.sqrt(np.pi)
    halo = Halo(mass, concentration, redshift, definition)
    image = nfw_convergence(theta, halo, source, cosmology=cosmology)
    image[centre] += nfw_shear(theta[centre], halo, source, cosmology=cosmology)
    if smoothing > 0:
        image = gaussian_filter(image, smoothing / pixel_scale, mode="nearest")
    ring = _rings(shape, centre, edges, pixel_scale)
    return np.array([image[ring == number].mean() for number in range(len(edges) - 1)])
