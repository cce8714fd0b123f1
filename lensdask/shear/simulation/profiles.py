"""Fourier transforms of the profiles that galaxies and PSFs are made of.

All have unit flux and are round; an ellipse is a round profile seen through a matrix. Galaxies take
``u = (scale length · k)²``, with a scale length of their own kind, and run on NumPy, CuPy and torch::

    exponential disc          I ~ exp(-r / h)                      f = (1 + u)^(-3/2)
    de Vaucouleurs bulge      I ~ exp(-b (r / r_half)^(1/4))       no closed form: a table
    Gaussian                  I ~ exp(-r² / 2 sigma²)              f = exp(-u / 2)

The PSF takes ``z = r0 k`` and is computed once, on the host::

    Moffat                    I ~ (1 + r² / r0²)^(-beta)           f = 2 (z/2)^n K_n(z) / Gamma(n),    n = beta - 1
"""

import math

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, constant, namespace

__all__ = [
    "BULGE_LENGTH",
    "DISC_LENGTH",
    "de_vaucouleurs_transform",
    "exponential_transform",
    "gaussian_transform",
    "moffat_reach",
    "moffat_transform",
]

Float64 = npt.NDArray[np.float64]

DISC_LENGTH = 1 / 1.6783469900166605
"""Scale length h of an exponential disc over its half-light radius."""
BULGE_LENGTH = 2.0
"""Scale length of a bulge over its half-light radius: a length that makes the table of its transform smooth."""

SERSIC_4 = 7.669249442500804
"""b of the de Vaucouleurs profile, half of whose light is inside r_half."""
INTERVALS = 2**14
"""Intervals of its table; linear interpolation is good to 2e-7."""


def exponential_transform(u: Array) -> Array:
    """Return the transform of an exponential disc.

    Parameters
    ----------
    u
        (h k)², h the scale length, `DISC_LENGTH` half-light radii.
    """
    xp = namespace(u)
    u = u + 1
    u *= xp.sqrt(u)
    return 1 / u


def gaussian_transform(u: Array) -> Array:
    """Return the transform of a Gaussian.

    Parameters
    ----------
    u
        (sigma k)².
    """
    return namespace(u).exp(u / -2)


def de_vaucouleurs_transform(u: Array) -> Array:
    """Return the transform of a de Vaucouleurs bulge, by linear interpolation in a table.

    Parameters
    ----------
    u
        (k `BULGE_LENGTH` r_half)².
    """
    xp = namespace(u)
    v = INTERVALS / xp.sqrt(u + 1)
    interval = xp.reshape(xp.astype(v, xp.int32), (-1,))
    lines = constant(_table, reference=u)
    value, slope = (xp.reshape(xp.take(lines[i, :], interval), u.shape) for i in range(2))
    slope *= v
    value += slope
    return value


def _table() -> Float64:
    """Return lines in v = INTERVALS / sqrt(1 + u): values at v = 0 and slopes, shape (2, INTERVALS + 1).

    The transform is smooth in v both at k = 0, where v = INTERVALS, and at infinity.
    """
    inner = np.arange(1, INTERVALS)
    log_k = np.log(np.sqrt((INTERVALS / inner) ** 2 - 1) / BULGE_LENGTH)
    values = np.concatenate([[0.0], np.interp(log_k, *_hankel_transform()), [1.0]])
    slope = np.append(np.diff(values), 0.0)
    return np.stack([values - slope * np.arange(INTERVALS + 1), slope])


def _hankel_transform() -> tuple[Float64, Float64]:
    """Return ln k, and there the transform of the de Vaucouleurs profile with r_half = 1.

    It is the real part of ``∫ I(r) H0(k r) r dr`` with the outgoing Hankel function H0. Along the imaginary axis,
    r = i y, nothing oscillates, since ``H0(i k y) = -2i K0(k y) / pi``::

        f(k) = (2 / pi) (b^8 / 4 7!) ∫ exp(-b y^(1/4) cos(pi/8)) sin(b y^(1/4) sin(pi/8)) K0(k y) y dy

    The steps of ln y are whole steps of ln k, so that few values of K0 are needed.
    """
    finer, step = 128, 1 / 8
    log_y, log_k = np.arange(-30, 11, step), np.arange(-7, 10, step / finer)
    q, y = SERSIC_4 * np.exp(log_y / 4), np.exp(log_y)
    profile = np.exp(-q * np.cos(np.pi / 8)) * np.sin(q * np.sin(np.pi / 8)) * y**2 * step
    log_ky = log_y[0] + log_k[0] + step / finer * np.arange(finer * len(log_y) + len(log_k))
    K0 = _mixture(0, np.exp(log_ky)) / 2
    total = np.zeros_like(log_k)
    for row, weight in enumerate(profile):
        total += weight * K0[finer * row :][: len(log_k)]
    return log_k, total * (2 / np.pi * SERSIC_4**8 / (4 * math.factorial(7)))


def moffat_transform(z: Float64, beta: float) -> Float64:
    """Return the transform of a Moffat profile, a mixture of Gaussians.

    Parameters
    ----------
    z
        r0 k, at least 0.
    beta
        Slope, above 1.
    """
    return _mixture(beta - 1, z) / math.gamma(beta - 1)


def moffat_reach(beta: float, share: float) -> float:
    """Return the r0 k beyond which the waves of a Moffat profile make up a share of its peak.

    Galaxies and pixels dampen waves the more the shorter they are, so their share in an image is smaller.
    """
    z = np.arange(0.0, 60.0, 0.02)
    light = np.cumsum((moffat_transform(z, beta) * z)[::-1])[::-1]
    return float(z[np.argmax(light < share * light[0])])


def _mixture(order: float, z: Float64) -> Float64:
    """Return ``∫ w^order exp(-w - z² / 4w) dw/w`` over w > 0, which is ``2 (z/2)^order K_order(z)`` with Bessel's K."""
    # The integrand is analytic in ln w, where the trapezoidal rule converges exponentially. Towards w = 0 it is ended
    # by the power, or for order 0 by z, which must then be above exp(-38).
    lowest = -20 / order if order > 0 else -80.0
    total, step = np.zeros_like(z), 0.4 / math.sqrt(1 + order)
    for log_w in np.arange(lowest, math.log(2 * order + 30), step):
        total += step * np.exp(order * log_w - math.exp(log_w) - z**2 * (math.exp(-log_w) / 4))
    return total
