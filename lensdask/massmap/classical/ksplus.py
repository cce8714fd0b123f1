"""Kaiser and Squires with the holes filled in: after KS+ of Pires et al. (2020, A&A 638, A141).

Zeros behind a mask are wrong shears, and the inversion spreads them over the map. KS+ puts there what makes the
convergence sparsest: of all maps that have the observed shear outside of the holes, the one with the fewest cosines.
It is found by thresholding (Pires et al. 2009, MNRAS 395, 1265): invert the shear, keep the largest coefficients of
the cosine transform of kappa_E, put the shear of that map into the holes, and again with a lower threshold, until
every coefficient is kept. Beyond its edges the field is a hole too, so that mass may stand outside. The B mode is
never put back: holes hold none.

It takes the bias of the zeros away, not the noise: noise is not sparse, so that in a survey's noise the filled map is
no closer to the mass, pixel by pixel, than that of zeros (of shear without noise its error beside the holes is a
third).

What is left out of KS+: the wavelets that keep the variance in the holes that of the field, and the correction from
reduced shear to shear. What stands in a hole is thus smoother than the field, and is no measurement.
"""

from math import erf

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn, idctn, next_fast_len

from lensdask.arrays import Array, like, to_numpy
from lensdask.errors import check_number
from lensdask.maps.fields import check_maps, checked_pixel_scale
from lensdask.maps.grids import gaussian_smoothing
from lensdask.sky.lensing import convergence_of_shear, shear_of_convergence

__all__ = ["kaiser_squires_plus"]

Float64 = npt.NDArray[np.float64]


def kaiser_squires_plus(
    g1: Array,
    g2: Array,
    mask: Array,
    *,
    pixel_scale: float,
    smoothing: float = 0.0,
    margin: float = 0.1,
    iterations: int = 30,
) -> tuple[Array, Array]:
    """Return the E and B modes of the convergence, with the shear behind the mask filled in.

    Parameters
    ----------
    g1, g2
        Shear, shape (..., y, x).
    mask
        1 where the shear is known and 0 where it is not, same shape. Pixels without galaxies are holes too: weight > 0.
    pixel_scale
        Arcmin.
    smoothing
        Standard deviation of the Gaussian that smooths the filled map, arcmin.
    margin
        Width of the hole around the field over its side, rounded up to what is quick to transform.
    iterations
        Number of thresholds.

    Returns
    -------
    tuple of Array
        kappa_E and kappa_B, shape (..., y, x), of the library of the shear.

    Raises
    ------
    InputError
        Maps that are masked arrays, not finite or of different shapes, pixels that are not square, a negative margin or
        smoothing, no iteration.
    """
    pixel_scale = checked_pixel_scale(pixel_scale)
    check_maps("mask", g1=g1, g2=g2, mask=mask)
    check_number("margin", margin, least=0, meaning="a part of the side of the field")
    check_number("iterations", iterations, least=1, whole=True)
    height, width = g1.shape[-2:]
    # The same on both sides: the cosine transform, unlike Fourier's, knows where the middle is.
    edges = _edge(height, margin), _edge(width, margin)
    around = [(0, 0)] * (g1.ndim - 2) + [(edge, edge) for edge in edges]
    known = np.pad(to_numpy(mask) != 0, around)
    observed = np.stack([np.pad(to_numpy(g).astype(np.float64), around) for g in (g1, g2)])
    modes = convergence_of_shear(*_filled(np.where(known, observed, 0.0), known, iterations))
    cut = (..., slice(edges[0], edges[0] + height), slice(edges[1], edges[1] + width))
    kappa_e, kappa_b = (like(gaussian_smoothing(mode, pixel_scale, smoothing)[cut], g1) for mode in modes)
    return kappa_e, kappa_b


def _edge(pixels: int, margin: float) -> int:
    """Return the width of the hole at one edge: the margin, or a little more where that is quicker to transform."""
    edge = round(margin * pixels)
    while edge and next_fast_len(pixels + 2 * edge) != pixels + 2 * edge:
        edge += 1
    return edge


def _filled(observed: Float64, known: npt.NDArray[np.bool_], iterations: int) -> Float64:
    """Return shear, shape (2, ..., y, x), as observed where it is known and that of a sparse convergence elsewhere."""
    shear, highest = observed, None
    for step in range(iterations):
        cosines = dctn(convergence_of_shear(*shear)[0], axes=(-2, -1), norm="ortho")
        size = np.abs(cosines)
        # The highest coefficient of each field is kept from the first step on.
        highest = size.max(axis=(-2, -1), keepdims=True) if highest is None else highest
        sparse = np.where(size >= _threshold(step, iterations) * highest, cosines, 0.0)
        shear = np.where(known, observed, shear_of_convergence(idctn(sparse, axes=(-2, -1), norm="ortho")))
    return shear


def _threshold(step: int, iterations: int) -> float:
    """Return the threshold over the highest coefficient: from 1 towards 0, most slowly at the end."""
    return 1 - erf(2.8 * step / iterations)
