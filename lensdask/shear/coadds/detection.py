"""Objects of a coadd, found with weights that answer to shear, tile by tile.

Shear changes which galaxies are found, and which neighbours are found as one: that biases m by some per cent if nobody
counts it in. So detections have weights, smooth functions of the pixels whose response to shear is known
(`lensdask.shear.coadds.summits`, and AnaCal's: `lensdask.shear.coadds.peaks`), and `lensdask.shear.calibrate` takes
them into the mean response.

Tiles of one size are smoothed by themselves, with a margin. So no matter how many of them a task takes, or which worker
does it, the objects are the same to the bit.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from astropy.table import Table
from dask.base import compute
from dask.delayed import delayed

from lensdask.arrays import Array
from lensdask.conventions import FWHM_PER_SIGMA
from lensdask.errors import InputError, check_choice, check_number
from lensdask.fourier import half_plane, wave_numbers
from lensdask.shear.coadds.coadd import Coadd
from lensdask.shear.coadds.peaks import Peaks, SmoothedImage, disc_around, find_peaks
from lensdask.shear.coadds.psf import on_stamps, psfs_of_model
from lensdask.shear.coadds.summits import Spectra, find_summits
from lensdask.shear.noise import Noise
from lensdask.shear.psfs import centred_psf, check_psf
from lensdask.shear.shapes.deconvolution import truncated_inverse, turned_psf
from lensdask.shear.shapes.fpfs import FPFS

__all__ = ["detect"]

Float64 = npt.NDArray[np.float64]

_TILE, _MARGIN = 192, 32
"""Pixels on a side of a tile, and around it."""

_NEIGHBOURHOOD = 1.0
"""Radius in which there is one object, arcsec."""


_STEPS = {"summits": 0.05, "pixels": 0.2}
"""Steps of the weights when none is given."""


class _Search(NamedTuple):
    """What is looked for."""

    weights: str
    jacobian: Float64
    noise: Noise
    snr: float
    softness: float
    step: float


class _Kernels(NamedTuple):
    """What smooths the tiles that share a PSF."""

    image: npt.NDArray[np.complex128]
    renoise: npt.NDArray[np.complex128]
    k1: Float64
    """Wave numbers on the sky, rad/arcsec, as those of the half plane."""
    k2: Float64
    sigma: float
    """Of the Gaussian, arcsec."""


def detect(
    coadd: Coadd,
    psf: Array | Callable[[float, float], Array],
    *,
    weights: Literal["summits", "pixels"] = "summits",
    fwhm: float = FPFS().sigma * FWHM_PER_SIGMA,
    snr: float = 10.0,
    softness: float = 2.0,
    step: float | None = None,
) -> Table:
    """Find the objects of a coadd, with weights and their shear response.

    Parameters
    ----------
    coadd
        From `read_coadd`.
    psf
        As for `cutouts`; a model is asked for the PSF in the middle of each tile of 192 pixels.
    weights
        "summits" for those of the highest places between pixels; "pixels" for those of AnaCal, whose response is far
        noisier, as it depends on where the pixels are.
    fwhm
        Full width at half maximum of the Gaussian that the deconvolved image is smoothed with, arcsec; that of FPFS
        when not given, so that summits are the centroids about which ``recentre=True`` measures.
    snr
        Least height of a peak over the noise of the smoothed image with the renoise, half weight there.
    softness
        Over how much of that height, up and down, weights rise from 0 to 1, in standard deviations.
    step
        For half of the weight: the curvature κ of a summit, 0.05 when not given, see `lensdask.shear.coadds.summits`;
        or by how many standard deviations a pixel must be above all others within 1 arcsec, 0.2.

    Returns
    -------
    Table
        A row for each object: ``ra``, ``dec`` in degrees; ``x``, ``y``, its place in pixels counted from 0; ``snr``;
        ``wdet``, its weight, more than 0 and up to 1; ``dwdet_dg1`` and ``dwdet_dg2``, in the frame of the sky. Hand
        them on as columns of `cutouts`.

    Raises
    ------
    InputError
        There is no object, or the noise, the PSF or a setting is not acceptable.
    """
    check_number("fwhm", fwhm, above=0, most=10, meaning="arcsec")
    check_number("snr", snr, above=0)
    check_number("softness", softness, above=0, most=snr, meaning="no more than snr")
    check_choice("weights", weights, tuple(_STEPS))
    step = _STEPS[weights] if step is None else step
    check_number("step", step, above=0)
    search = _Search(weights, coadd.middle, coadd.noise, snr, softness, step)
    if coadd.noise.sigma == 0:
        raise InputError("coadd: its pixels without sources have no noise; expected some, to tell objects from")

    def kernels(image: Float64) -> Any:
        # Here, since each task would warn of it again.
        return delayed(_kernels)(_on_tile(image), coadd.middle, fwhm)

    shared = None if callable(psf) else kernels(np.asarray(psf, np.float64))
    image, tasks, corners = np.nan_to_num(coadd.image, nan=0.0), [], []
    for x, y in _corners(coadd.image.shape):
        middle = x + _TILE / 2, y + _TILE / 2
        own = kernels(psfs_of_model(psf, *(np.array([place]) for place in middle))[0]) if callable(psf) else shared
        tasks.append(delayed(_peaks_of_tile)(_tile(image, x, y), _tile(coadd.renoise, x, y), own, search))
        corners.append((x, y))
    return _table(coadd, corners, compute(*tasks))


def _on_tile(psf: Float64) -> Float64:
    """Return a PSF on the pixels of a tile with its margin, in the middle."""
    side = _TILE + 2 * _MARGIN
    whole = on_stamps(psf, side)
    check_psf(whole, (side, side), 1)
    return centred_psf(whole)


def _corners(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Yield the first pixels (x, y) of tiles."""
    ny, nx = shape
    for y in range(0, ny, _TILE):
        for x in range(0, nx, _TILE):
            yield x, y


def _tile(image: npt.NDArray[np.float32], x: int, y: int) -> npt.NDArray[np.float32]:
    """Return a tile with its margin; beyond the image there is nothing."""
    side = _TILE + 2 * _MARGIN
    tile = np.zeros((side, side), np.float32)
    ny, nx = image.shape
    top, left = max(0, y - _MARGIN), max(0, x - _MARGIN)
    part = image[top : min(ny, y + _TILE + _MARGIN), left : min(nx, x + _TILE + _MARGIN)]
    first = top - y + _MARGIN, left - x + _MARGIN
    tile[first[0] : first[0] + part.shape[0], first[1] : first[1] + part.shape[1]] = part
    return tile


def _peaks_of_tile(
    image: npt.NDArray[np.float32], renoise: npt.NDArray[np.float32], kernels: _Kernels, search: _Search
) -> tuple[Peaks, float]:
    """Return the peaks inside a tile, counted from its first pixel, and the noise of the smoothed image."""
    jacobian = search.jacobian
    sigma = _noise_of(kernels, search.noise)
    limits = search.snr * sigma, search.softness * sigma
    first, second = np.fft.rfft2(image) * kernels.image, np.fft.rfft2(renoise) * kernels.renoise
    if search.weights == "summits":
        found = find_summits(Spectra(first, second, jacobian, kernels.sigma), *limits, search.step)
    else:
        disc = disc_around(max(1, round(_NEIGHBOURHOOD / math.sqrt(abs(np.linalg.det(jacobian))))))
        found = find_peaks(
            _smoothed(first + second, first - second, kernels), jacobian, disc, *limits, search.step * sigma
        )
    x, y = found.x - _MARGIN, found.y - _MARGIN
    inside = (x >= -0.5) & (x < _TILE - 0.5) & (y >= -0.5) & (y < _TILE - 0.5)
    return Peaks(*(part[inside] for part in found._replace(x=x, y=y))), sigma


def _kernels(psf: Float64, jacobian: Float64, fwhm: float) -> _Kernels:
    n, scale, sigma = len(psf), math.sqrt(abs(np.linalg.det(jacobian))), fwhm / FWHM_PER_SIGMA
    p1, p2 = wave_numbers(n, 1.0)
    # k.(J p) is what it is in pixels.
    (a, b), (c, d) = np.linalg.inv(jacobian).T
    k1, k2 = a * p1 + b * p2, c * p1 + d * p2
    gaussian = np.exp(-(k1**2 + k2**2) * sigma**2 / 2)
    image, renoise = (gaussian * truncated_inverse(turned, scale) for turned in (psf, turned_psf(psf)))
    return _Kernels(image, renoise, k1, k2, sigma)


def _smoothed(
    value: npt.NDArray[np.complex128], response: npt.NDArray[np.complex128], kernels: _Kernels
) -> SmoothedImage:
    """Return a smoothed image and the response of its pixels, see `lensdask.shear.shapes.resmooth`."""
    k1, k2, s2 = kernels.k1, kernels.k2, kernels.sigma**2
    factors = s2 * (k1**2 - k2**2), 2 * s2 * k1 * k2, -1j * k1, -1j * k2
    shape = (len(value), len(value))
    return SmoothedImage(*(np.fft.irfft2(plane, s=shape) for plane in (value, *(f * response for f in factors))))


def _noise_of(kernels: _Kernels, noise: Noise) -> float:
    """Return the standard deviation of image and renoise, smoothed."""
    n = len(kernels.image)
    power = turned = np.ones((n, n))
    if noise.correlation is not None:
        lags, edge = np.fft.fftshift(noise.correlation), (n - len(noise.correlation)) // 2
        power = np.maximum(np.fft.fft2(np.fft.ifftshift(np.pad(lags, edge))).real, 0.0)
        turned = np.roll(power[::-1].T, 1, axis=1)
    columns = n // 2 + 1
    passed = np.abs(kernels.image) ** 2 * power[:, :columns] + np.abs(kernels.renoise) ** 2 * turned[:, :columns]
    return noise.sigma * math.sqrt(float((passed * half_plane(n)).sum())) / n


def _table(coadd: Coadd, corners: list[tuple[int, int]], found: tuple[tuple[Peaks, float], ...]) -> Table:
    """Return the table of all objects on the image."""
    x, y = (
        np.concatenate([place + corner[axis] for corner, place in zip(corners, places, strict=True)])
        for axis, places in enumerate(([peaks.x for peaks, _ in found], [peaks.y for peaks, _ in found]))
    )
    snr = np.concatenate([peaks.value / sigma for peaks, sigma in found])
    weight = np.concatenate([peaks.weight for peaks, _ in found])
    response = np.concatenate([peaks.response for peaks, _ in found])
    ny, nx = coadd.image.shape
    on_image = (x >= -0.5) & (x < nx - 0.5) & (y >= -0.5) & (y < ny - 0.5)
    if not on_image.any():
        raise InputError("coadd: no object is found; expected some above the noise, or a lower snr")
    ra, dec = coadd.wcs.all_pix2world(x, y, 0)
    columns = {"ra": ra, "dec": dec, "x": x, "y": y, "snr": snr, "wdet": weight}
    columns |= {"dwdet_dg1": response[:, 0], "dwdet_dg2": response[:, 1]}
    order = np.lexsort((x, y))
    return Table({name: np.asarray(values)[order][on_image[order]] for name, values in columns.items()})
