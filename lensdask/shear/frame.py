"""Stamps in the frame of the sky: x to the west, y to the north, square pixels.

The pixels of a survey are turned, mirrored, oblong or sheared against the sky. Their Jacobian
``J = ∂(west, north) / ∂(x, y)`` says how. An image that is sampled well enough is known between its pixels by its
Fourier series ::

    I(p) = sum over κ of F(κ) exp(i κ.p)

and so at the places ``p = J^-1 s u`` of a grid u of square pixels of side s. Waves beyond the Nyquist wave of the
longest side of a pixel, in any direction, are left out: galaxies have none behind a PSF, and what is left of white
noise is white in every direction.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array
from lensdask.errors import InputError
from lensdask.shear.pixels import real_array

__all__ = ["check_jacobian", "offset_on_sky", "onto_sky"]

Floating = npt.NDArray[np.floating]
Float64 = npt.NDArray[np.float64]

_AT_ONCE = 16
"""Images whose sums are held together: 64 pixels square take 2 MB each."""

_SAME_AREA = 0.01
"""Tolerated difference of the area of a pixel from the square of the pixel scale; noise changes by half of it."""

_OBLONG = 2.0
"""Longest over shortest side of a pixel, beyond which its columns or units are mistaken."""


def check_jacobian(jacobian: Array, count: int, pixel_scale: float) -> Float64:
    """Return Jacobians, shape (2, 2) or (galaxy, 2, 2), that go with a pixel scale.

    Parameters
    ----------
    jacobian
        ∂(west, north)/∂(x, y), arcsec per pixel.
    count
        Number of galaxies.
    pixel_scale
        Arcsec per pixel.

    Raises
    ------
    InputError
        The shape is another, pixels have no area, are far from square, or have not the area of the pixel scale.
    """
    matrices = real_array(jacobian, "jacobian", "arcsec").astype(np.float64)
    if matrices.shape not in {(2, 2), (count, 2, 2)}:
        raise InputError(f"jacobian: shape {matrices.shape}; expected (2, 2) or {(count, 2, 2)}")
    if not np.isfinite(matrices).all():
        raise InputError("jacobian: not finite; expected arcsec per pixel")
    long, short = np.moveaxis(np.linalg.svd(matrices, compute_uv=False), -1, 0)
    if (long > _OBLONG * short).any():
        sides = f"{long.max():.3g} by {short.min():.3g} arcsec"
        raise InputError(f"jacobian: pixels of {sides}; expected nearly square ones")
    area = long * short / pixel_scale**2
    if (np.abs(area - 1) > _SAME_AREA).any():
        worst = float(np.sqrt(np.max(long * short) if area.max() > 2 - area.min() else np.min(long * short)))
        raise InputError(
            f"jacobian: the square root of its determinant is {worst:.4g} arcsec, pixel_scale {pixel_scale:g}; "
            "expected the same"
        )
    return matrices


def offset_on_sky(offset: Float64, jacobian: Float64, pixel_scale: float) -> Float64:
    """Return places (x, y) of galaxies, shape (galaxy, 2), in pixels of the sky's frame."""
    return np.asarray(np.einsum("...ij,...j->...i", jacobian, offset) / pixel_scale)


def onto_sky(images: Floating, jacobian: Float64, pixel_scale: float, *, about_first: bool = False) -> Floating:
    """Return images on square pixels of the sky's frame.

    Parameters
    ----------
    images
        Shape (..., n, n), flux per pixel.
    jacobian
        Of all images, shape (2, 2), or of each along the first axis, shape (image, 2, 2).
    pixel_scale
        Side of the new pixels, arcsec.
    about_first
        Whether the origin is the first pixel, as that of a correlation function, instead of the middle.

    Returns
    -------
    ndarray
        Of the same shape and type.
    """
    if jacobian.ndim == 3:
        made = np.empty_like(images)
        different, which = np.unique(jacobian, axis=0, return_inverse=True)
        for number, one in enumerate(different):
            made[which == number] = onto_sky(images[which == number], one, pixel_scale)
        return made
    n = images.shape[-1]
    steps = np.fft.fftfreq(n, 1 / n) if about_first else np.arange(n) - (n - 1) / 2
    origin = 0.0 if about_first else (n - 1) / 2
    back = np.linalg.inv(jacobian) * pixel_scale
    places = np.einsum("ij,jp->ip", back, np.stack([np.tile(steps, n), np.repeat(steps, n)])) + origin
    kx, ky = 2 * np.pi * np.fft.rfftfreq(n), 2 * np.pi * np.fft.fftfreq(n)
    kind = np.result_type(images.dtype, np.complex64)
    # Each wave of the half plane stands for two, but for those without an x.
    share = np.where(kx > 0, 2.0, 1.0) * pixel_scale**2 / abs(np.linalg.det(jacobian)) / n**2
    along_x = (share[:, None] * np.exp(1j * np.outer(kx, places[0]))).astype(kind)
    along_y = np.exp(1j * np.outer(ky, places[1])).astype(kind)
    seen = _seen(kx, ky, jacobian)
    flat = images.reshape(-1, n, n)
    moved = np.empty(flat.shape, images.dtype)
    for part in _parts(len(flat)):
        waves = (np.fft.rfft2(flat[part]) * seen).astype(kind)
        rows = waves @ along_x
        moved[part] = np.einsum("gkp,kp->gp", rows, along_y).real.reshape(-1, n, n)
    return moved.reshape(images.shape)


def _seen(kx: Floating, ky: Floating, jacobian: Float64) -> npt.NDArray[np.bool_]:
    """Return which waves are short of the Nyquist wave of the longest side of a pixel, shape (n, n // 2 + 1)."""
    k = np.stack(np.broadcast_arrays(kx, ky[:, None]))
    on_sky = np.einsum("ji,jyx->iyx", np.linalg.inv(jacobian), k)
    longest = np.linalg.svd(jacobian, compute_uv=False)[0]
    return np.asarray(np.hypot(*on_sky) * longest < np.pi * (1 - 1e-9))


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, start + _AT_ONCE) for start in range(0, count, _AT_ONCE))
