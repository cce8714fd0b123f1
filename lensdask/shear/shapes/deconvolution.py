"""Stamps deconvolved from their PSF in Fourier space, about their middle or about another place.

With a second noise realisation, deconvolved by the PSF turned by 90 degrees, there are two planes of every stamp: V, of
what is measured, and D, of how it responds to shear; see `lensdask.shear.shapes.resmooth`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from array_api_compat import is_array_api_obj

from lensdask.arrays import Array, constant, like, namespace
from lensdask.fourier import centred_rfft2, wave_numbers

__all__ = [
    "Places",
    "Planes",
    "double_psf",
    "moved",
    "planes_of",
    "shifted",
    "truncated_inverse",
    "turned_psf",
]

K_LIMIT = 3.0
"""Wave numbers beyond ``K_LIMIT / pixel_scale`` are dropped: the Nyquist row has no Hermitian partner."""


class Planes(NamedTuple):
    """Half planes of stamps, shape (galaxy, n, n // 2 + 1)."""

    value: Array
    """V, of image + renoise."""
    response: Array
    """D, of image - renoise; V itself without renoise."""


class Places(NamedTuple):
    """Where galaxies are, and how shear moves what is measured there."""

    position: Array
    """(x, y) from the middle of the stamp, arcsec, shape (galaxy, 2)."""
    sky: Array | None = None
    """How shear moves the sky against the place: t_a of `lensdask.shear.shapes.centring`, shape (galaxy, 2, 2); none of
    a place that moves with the sky."""
    drift: Array | None = None
    """How shear moves the place: dx/dg_a, shape (galaxy, 2, 2), with (x, y) last."""


def double_psf(psf: Array) -> Array:
    """Return a PSF in double precision, an array of its own library and device; lists and the like become NumPy's."""
    psf = psf if is_array_api_obj(psf) else np.asarray(psf)
    xp = namespace(psf)
    return xp.astype(psf, xp.float64)


def turned_psf(psf: Array) -> Array:
    """Return a PSF, shape (..., n, n), turned by 90 degrees."""
    xp = namespace(psf)
    return xp.matrix_transpose(xp.flip(psf, axis=-1))


def _is_inside(n: int, pixel_scale: float) -> npt.NDArray[np.float64]:
    """Return 1 for waves below the limit and 0 for the others, shape (n, n // 2 + 1)."""
    return (np.hypot(*wave_numbers(n, pixel_scale)) < K_LIMIT / pixel_scale).astype(np.float64)


def truncated_inverse(psf: Array, pixel_scale: float) -> Array:
    """Return 1/P(k) inside ``K_LIMIT / pixel_scale`` and zero outside, complex128.

    Parameters
    ----------
    psf
        PSF image including the pixel, centred like the stamps, shape (..., n, n), double precision of any library.
    pixel_scale
        Arcsec per pixel.
    """
    inside = constant(_is_inside, psf.shape[-1], pixel_scale, reference=psf) > 0
    xp, transfer = namespace(psf), centred_rfft2(psf)
    safe = xp.where(inside, transfer, xp.ones_like(transfer))
    return xp.where(inside, 1.0 / safe, xp.zeros_like(transfer))


def planes_of(images: Array, kernel: Array, kernel90: Array, renoise: Array | None = None) -> Planes:
    """Return V and D of stamps.

    Parameters
    ----------
    images
        Observed stamps, shape (galaxy, n, n), NumPy, CuPy or torch.
    kernel
        What deconvolves them, shape (n, n // 2 + 1) or (galaxy, n, n // 2 + 1).
    kernel90
        The same of the PSF turned by 90 degrees.
    renoise
        Independent noise with the variance of the image noise, same shape; none for noiseless images.
    """
    planes = centred_rfft2(images)
    value = planes * _of_type(kernel, planes)
    if renoise is None:
        return Planes(value, value)
    second = centred_rfft2(renoise) * _of_type(kernel90, planes)
    return Planes(value + second, value - second)


def _of_type(kernel: Array, planes: Array) -> Array:
    """Return a kernel in the library, device and precision of what it multiplies."""
    return namespace(planes).astype(like(kernel, planes), planes.dtype, copy=False)


def shifted(planes: Planes, position: Array, pixel_scale: float) -> Planes:
    """Return planes about other places than the middle of the stamp.

    Parameters
    ----------
    planes
        About the middle.
    position
        The places, (x, y) in arcsec from the middle, shape (galaxy, 2).
    pixel_scale
        Arcsec per pixel.
    """
    xp, n = namespace(planes.value), planes.value.shape[-2]
    i_k1, i_k2 = (constant(_gradient, n, pixel_scale, axis, reference=planes.value) for axis in (0, 1))
    place = _of_type(position, planes.value)[:, :, None, None]
    phase = xp.exp(i_k2 * place[:, 1]) * xp.exp(i_k1 * place[:, 0])
    value = planes.value * phase
    return Planes(value, value if planes.response is planes.value else planes.response * phase)


def moved(planes: Planes, places: Places, pixel_scale: float) -> list[Array]:
    """Return what shear adds to V at a place because it moves sky and place: t_a . grad D + dx/dg_a . grad V.

    Parameters
    ----------
    planes
        About the places.
    places
        Of the galaxies.
    pixel_scale
        Arcsec per pixel.

    Returns
    -------
    list
        Half planes for g1 and for g2; nothing of places that move with the sky.
    """
    sky, drift = places.sky, places.drift
    if sky is None or drift is None:
        return []
    D, V = planes.response, planes.value
    return [_along(D, sky[:, a, :], pixel_scale) + _along(V, drift[:, a, :], pixel_scale) for a in (0, 1)]


def _along(plane: Array, way: Array, pixel_scale: float) -> Array:
    """Return half planes of the derivative along a way, shape (galaxy, 2)."""
    i_k1, i_k2 = (constant(_gradient, plane.shape[-2], pixel_scale, axis, reference=plane) for axis in (0, 1))
    way = _of_type(way, plane)[:, :, None, None]
    return plane * (way[:, 0] * i_k1 + way[:, 1] * i_k2)


def _gradient(n: int, pixel_scale: float, axis: int) -> npt.NDArray[np.complex128]:
    return np.asarray(1j * wave_numbers(n, pixel_scale)[axis], dtype=np.complex128)
