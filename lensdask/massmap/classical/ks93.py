"""The mass map of Kaiser and Squires (1993): the shear, deconvolved.

On a flat sky every Fourier mode of the shear is that of the convergence times a phase, gamma(l) = D(l) kappa(l) with
D(l) = (l1² - l2² + 2 i l1 l2) / l², so kappa(l) = D*(l) gamma(l), and its imaginary part is the B mode, which lensing
does not make. It is exact, linear and unregularised: the white noise of the shear, of variance sigma_e² / (n A) in a
pixel of area A, becomes white noise of the same variance in kappa, far above the signal, so the map is smoothed. What
it cannot know: the mean of kappa (D has no value at l = 0: the mass-sheet degeneracy) and the shear beyond the field.
"""

from lensdask.arrays import Array, namespace
from lensdask.maps.fields import check_maps, checked_pixel_scale
from lensdask.maps.grids import area_shape, gaussian_smoothing, zero_padded
from lensdask.sky.lensing import convergence_of_shear

__all__ = ["kaiser_squires", "smoothed_shear"]

_LEAST_WEIGHT = 0.01
"""Weight under the smoothing Gaussian, over its maximum, below which nothing is averaged: 2.3 sigma off an edge."""


def kaiser_squires(
    g1: Array,
    g2: Array,
    *,
    pixel_scale: float,
    smoothing: float = 0.0,
    weight: Array | None = None,
    padding: float = 1.0,
) -> tuple[Array, Array]:
    """Return the E and B modes of the convergence (Kaiser and Squires 1993).

    Parameters
    ----------
    g1, g2
        Shear, shape (..., y, x), 0 where there is none, or not finite where the weight is 0. Reduced shear stands for
        shear to first order in kappa.
    pixel_scale
        Arcmin.
    smoothing
        Standard deviation of the Gaussian in arcmin; 0 for none.
    weight
        Inverse variances, same shape. With them the Gaussian averages the shear by weight, so that neither holes nor
        edges pull it to zero; without them it convolves the map. They matter to the smoothing alone.
    padding
        Side of the area transformed over that of the field. 1 takes the field to be periodic; more adds empty sky.

    Returns
    -------
    tuple of Array
        kappa_E and kappa_B, shape (..., y, x), of mean 0 over the area.

    Raises
    ------
    InputError
        Maps that are masked arrays, not finite or of different shapes, a negative weight, pixels that are not square, a
        negative smoothing, a padding below 1.
    """
    pixel_scale = checked_pixel_scale(pixel_scale)
    if weight is None:
        check_maps(g1=g1, g2=g2)
    else:
        check_maps("weight", g1=g1, g2=g2, weight=weight)
        # Times a weight of 0, what is not finite is not 0.
        xp = namespace(g1)
        g1, g2 = (xp.where(xp.isfinite(g), g, xp.zeros_like(g)) for g in (g1, g2))
    height, width = g1.shape[-2:]
    area = area_shape(height, width, padding)
    g1, g2 = zero_padded(g1, area), zero_padded(g2, area)
    if weight is not None:
        g1, g2 = smoothed_shear(g1, g2, zero_padded(weight, area), pixel_scale, smoothing)
    modes = convergence_of_shear(g1, g2)
    if weight is None:
        modes = tuple(gaussian_smoothing(mode, pixel_scale, smoothing) for mode in modes)
    kappa_e, kappa_b = (mode[..., :height, :width] for mode in modes)
    return kappa_e, kappa_b


def smoothed_shear(g1: Array, g2: Array, weight: Array, pixel_scale: float, sigma: float) -> tuple[Array, Array]:
    """Return the shear averaged by weight under a Gaussian: (G * w g) / (G * w), on a periodic area.

    It is 0 where the weight under the Gaussian is less than 1 % of its maximum.

    Parameters
    ----------
    g1, g2, weight
        Shape (..., y, x).
    pixel_scale, sigma
        Arcmin; sigma 0 returns the shear as it is.
    """
    if sigma == 0:
        return g1, g2
    xp = namespace(g1)
    under = gaussian_smoothing(weight, pixel_scale, sigma)
    enough = under > _LEAST_WEIGHT * xp.max(under, axis=(-2, -1), keepdims=True)
    divisor = xp.where(enough, under, xp.ones_like(under))
    averages = (gaussian_smoothing(weight * g, pixel_scale, sigma) / divisor for g in (g1, g2))
    g1, g2 = (xp.where(enough, average, xp.zeros_like(average)) for average in averages)
    return g1, g2
