"""Aperture mass: how much tangential shear there is about each point (Schneider 1996, MNRAS 283, 837).

The mass within an aperture, weighted by a filter U whose integral is 0 so that no mass sheet enters, is an average of
the tangential shear about its centre with another filter Q,

    M_ap(c) = ∫ U(|r|) kappa(c + r) d²r = ∫ Q(|r|) gamma_t(c + r) d²r,      gamma_t + i gamma_x = -gamma exp(-2i phi),

phi being the direction of r. It is local, needs no inversion, and its noise is known at every point from the galaxies
inside, sigma² = sum(w Q²) for sum(w Q g_t); which makes it the classical finder of clusters. The same average of
gamma_x is its B mode.
"""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, constant, namespace
from lensdask.errors import InputError, check_number
from lensdask.maps.fields import check_maps, checked_pixel_scale

__all__ = ["ApertureFilter", "ApertureMass", "aperture_mass", "filter_profile"]

Float64 = npt.NDArray[np.float64]

ApertureFilter = Literal["schirmer", "schneider"]
"""Schirmer et al. (2007), which follows the shear of an NFW cluster, or the polynomial of Schneider et al. (1998)."""

_CORE = 0.15
"""Scale of the cluster in the filter of Schirmer et al. (2007), over the radius of the aperture."""


class ApertureMass(NamedTuple):
    """Maps (..., y, x) of the aperture mass."""

    mass_e: Array
    """Of the tangential shear; 0 where no galaxy is, or one alone where Q is 0."""
    mass_b: Array
    """Of the cross shear, which lensing does not make."""
    noise: Array
    """Standard deviation of both if the weights are inverse variances; S/N is mass_e / noise. 0 where no galaxy is."""


def aperture_mass(
    g1: Array,
    g2: Array,
    weight: Array,
    *,
    pixel_scale: float,
    radius: float,
    kind: ApertureFilter = "schirmer",
) -> ApertureMass:
    """Return the aperture mass about every pixel, pi R² sum(w Q g_t) / sum(w) over the galaxies within R.

    With even weights that is the integral of Q gamma_t. Beyond the field and behind the mask there is no weight: an
    aperture over an edge averages what is left of it, with its noise.

    Parameters
    ----------
    g1, g2
        Shear, shape (..., y, x).
    weight
        Inverse variance of each component, same shape, 0 where there is no galaxy.
    pixel_scale
        Arcmin.
    radius
        Of the aperture, arcmin, at least a pixel.
    kind
        The filter; see `filter_profile`.

    Raises
    ------
    InputError
        Maps that are masked arrays, not finite or of different shapes, a negative weight, pixels that are not square, a
        radius below one pixel, an unknown filter.
    """
    pixel_scale = checked_pixel_scale(pixel_scale)
    check_maps("weight", g1=g1, g2=g2, weight=weight)
    check_number("radius", radius, least=pixel_scale, meaning="one pixel in arcmin")
    xp, shape = namespace(g1), g1.shape[-2:]
    # Beyond the other edge there is nothing to reach.
    height, width = (side + min(int(radius / pixel_scale), side) for side in shape)
    area = height, width
    even, cosine, sine, square = constant(_kernels, *area, float(radius / pixel_scale), kind, reference=g1)

    def convolved(maps: Array, kernel: Array) -> Array:
        modes = xp.fft.rfftn(maps, s=area, axes=(-2, -1)) * kernel
        return xp.fft.irfftn(modes, s=area, axes=(-2, -1))[..., : shape[0], : shape[1]]

    known = weight > 0
    first, second = (weight * xp.where(known, g, xp.zeros_like(g)) for g in (g1, g2))
    total, variance = convolved(weight, even), convolved(weight, square)
    # Transforms leave rounding where no galaxy is, or one alone where Q is 0.
    enough = variance > 1e-6 * xp.max(variance, axis=(-2, -1), keepdims=True)
    norm = xp.astype(enough, g1.dtype) / xp.where(enough, total, xp.ones_like(total))
    mass_e = -norm * (convolved(first, cosine) + convolved(second, sine))
    mass_b = -norm * (convolved(second, cosine) - convolved(first, sine))
    return ApertureMass(mass_e, mass_b, norm * xp.sqrt(xp.clip(variance, min=0.0)))


def filter_profile(x: Float64, kind: ApertureFilter) -> Float64:
    """Return pi R² Q(x), x being the distance from the centre over the radius of the aperture; 0 from x = 1 on.

    Schirmer et al. (2007, A&A 462, 875): tanh(x / 0.15) / (x / 0.15) / (1 + exp(6 - 150 x) + exp(50 x - 47)), which
    falls to 0 in the centre, where the shear is not weak. Schneider et al. (1998, MNRAS 296, 873, for l = 1): 6 x² (1
    - x²).

    Raises
    ------
    InputError
        There is no such filter.
    """
    inside = np.clip(x, 0.0, 1.0)
    if kind == "schneider":
        profile = 6 * inside**2 * (1 - inside**2)
    elif kind == "schirmer":
        scaled = np.maximum(inside, 1e-9) / _CORE
        profile = np.tanh(scaled) / scaled / (1 + np.exp(6 - 150 * inside) + np.exp(50 * inside - 47))
    else:
        raise InputError(f"kind: {kind!r}; expected 'schirmer' or 'schneider'")
    return np.where(x < 1, profile, 0.0)


def _kernels(height: int, width: int, radius: float, kind: ApertureFilter) -> npt.NDArray[np.complex128]:
    """Return the transforms of 1, Q cos 2 phi, Q sin 2 phi and Q² within an aperture, (4, height, width // 2 + 1).

    All four keep their sign under r → -r, so that correlation with them, which M_ap is, is convolution.
    """
    y, x = np.fft.fftfreq(height, 1 / height)[:, None], np.fft.fftfreq(width, 1 / width)[None, :]
    distance = np.hypot(x, y)
    profile = filter_profile(distance / radius, kind)
    square = np.maximum(distance**2, 1e-9)
    within = (distance < radius).astype(np.float64)
    kernels = within, profile * (x**2 - y**2) / square, profile * 2 * x * y / square, profile**2
    return np.asarray(np.fft.rfft2(np.stack(kernels)), dtype=np.complex128)
