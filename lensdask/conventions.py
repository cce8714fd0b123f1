"""Units, axes, signs and origins: the law of the house.

Arrays
    Images are indexed ``[y, x]``; x is the last axis and grows to the right, y grows upwards. Angles are in
    arcsec for stamps, arcmin for maps and degrees for fields.
Origin
    The origin of a stamp is its geometric centre, pixel coordinate ``(n - 1) / 2`` on both axes. GalSim draws
    there, and ``rot90`` and flips of the array are exact operations of the group D4 about it. The galaxy, the
    PSF, the x of the pixel response, the pooling kernel and the D4 orbit all use this one origin.
Shear
    Reduced shear g in GalSim's sign: g1 > 0 stretches along x, g2 > 0 along the diagonal x = y. The matrix
    from image to source plane is ``A = [[1 - g1, -g2], [-g2, 1 + g1]]``.
Fourier
    numpy's sign, ``f(k) = sum_x f(x) exp(-i k.x)``, with k in rad per unit of the map's angle.
Flux
    AB magnitudes with zero point 30: one unit of flux is 3.631 nJy.
Convergence
    ``gamma(l) = kappa(l) (l1² - l2² + 2 i l1 l2) / l²``.
"""

import math

__all__ = ["ARCMIN", "FWHM_PER_SIGMA", "LSST_Y10_NOISE", "ZERO_POINT", "flux_from_magnitude", "stamp_origin"]

ARCMIN = math.pi / 180 / 60
"""One arcmin in rad."""

ZERO_POINT = 30.0
"""AB magnitude of one unit of flux."""

LSST_Y10_NOISE = 0.594
"""Standard deviation of the noise in a 0.2 arcsec pixel of an LSST year-10 i-band coadd, in zero-point-30 units."""

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian of unit standard deviation."""


def stamp_origin(n: int) -> float:
    """Return the pixel coordinate of the origin of a stamp with n pixels on a side."""
    return (n - 1) / 2


def flux_from_magnitude(magnitude: float) -> float:
    """Return the flux, in zero-point-30 units, of an AB magnitude."""
    return float(10.0 ** (-0.4 * (magnitude - ZERO_POINT)))
