"""Smoothing of tiles with a Gaussian, before they become a mosaic: signal and noise alike, darker at the borders.

Beyond its border a tile is taken for 0, as in the released code, so that no tile leaks into its neighbour. Smoothing
along each axis is a product with a matrix.
"""

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, constant
from lensdask.conventions import ARCMIN
from lensdask.fourier import multipoles, plane_of, real_of
from lensdask.lss.forward.evolution import Redshifts, mean_redshift
from lensdask.lss.forward.model import SMOOTHING, ForwardModel
from lensdask.lss.parameters import PARAMETERS
from lensdask.sky.cosmology import Cosmology, comoving_distance

__all__ = ["band_limited", "smoothed_tiles", "smoothing_sigmas"]

Float64 = npt.NDArray[np.float64]

_FIDUCIAL = Cosmology(h=1.0, omega_m=PARAMETERS["omega_m"].fiducial, omega_b=0.0, sigma8=1.0, n_s=1.0)
"""Distances in Mpc / h at the fiducial Ω_m: smoothing does not follow the cosmology of a sample."""

_FWHM = (8 * np.log(2)) ** 0.5
"""FWHM of a Gaussian in standard deviations."""


def smoothing_sigmas(model: ForwardModel, galaxies: Redshifts) -> tuple[float, ...]:
    """Return the standard deviation of the smoothing of each channel, arcmin.

    With ``smoothing="comoving"`` it is that of the FWHM at the mean redshift of the bin, less in quadrature that of the
    pixel, 1 / √12 of its side; 0 where the pixel alone is as wide.

    Parameters
    ----------
    model
        Probe, kind of smoothing and scales.
    galaxies
        Their redshifts.
    """
    scales = {"lensing": (model.lensing_scale,), "clustering": (model.clustering_scale,)}
    chosen = scales.get(model.probe, (model.lensing_scale, model.clustering_scale))
    if model.smoothing == "printed":
        return tuple(sigma for scale in chosen for sigma in SMOOTHING[scale])
    distance = comoving_distance(mean_redshift(galaxies), _FIDUCIAL)
    square = [(scale / _FWHM / distance / ARCMIN) ** 2 - model.pixel_scale**2 / 12 for scale in chosen]
    return tuple(np.sqrt(np.maximum(np.concatenate(square), 0.0)).tolist())


def smoothed_tiles(maps: Array, sigmas: tuple[float, ...], pixel_scale: float) -> Array:
    """Return tiles smoothed with a Gaussian of sum 1, sampled at the centres of the pixels.

    Parameters
    ----------
    maps
        Shape (sample, channel, tile, y, x).
    sigmas
        Standard deviation for each channel, arcmin.
    pixel_scale
        Arcmin.
    """
    widths = tuple(sigma / pixel_scale for sigma in sigmas)
    along_y, along_x = (constant(_matrices, size, widths, reference=maps) for size in maps.shape[-2:])
    return along_y @ (maps @ along_x)


def _matrices(size: int, widths: tuple[float, ...]) -> Float64:
    """Return what smooths rows of pixels, for each channel, symmetric, shape (channel, 1, size, size)."""
    distance = np.abs(np.arange(size)[:, None] - np.arange(size))
    return np.stack([_gaussian(size, width)[distance] for width in widths])[:, None]


def _gaussian(size: int, width: float) -> Float64:
    """Return a Gaussian at distances of 0, 1, … pixels, whose sum over all pixels of an endless row is 1."""
    reach = np.arange(max(size, int(10 * width) + 1))
    shape = np.exp(-((reach / max(width, 1e-3)) ** 2) / 2)
    return np.asarray((shape / (2 * shape.sum() - 1))[:size])


def band_limited(maps: Array, ell_max: float, pixel_scale: float) -> Array:
    """Return tiles without their waves above a multipole, for which a tile is taken to repeat itself.

    Parameters
    ----------
    maps
        Shape (..., y, x).
    ell_max
        Largest multipole that is kept.
    pixel_scale
        Arcmin.
    """
    shape = maps.shape[-2], maps.shape[-1]
    plane = plane_of(maps) * constant(_kept, shape, ell_max, pixel_scale, reference=maps)
    return real_of(plane, shape)


def _kept(shape: tuple[int, int], ell_max: float, pixel_scale: float) -> Float64:
    l1, l2 = multipoles(shape, pixel_scale)
    return (np.hypot(l1, l2) <= ell_max * (1 + 1e-9)).astype(np.float64)
