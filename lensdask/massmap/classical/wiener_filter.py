"""The Wiener filter: the most probable convergence of a Gaussian field, through masks and uneven noise.

A Gaussian field kappa of power C(l) seen through shear d = P kappa + n, with noise of inverse variance w in each
component of each pixel (w = 0 behind the mask), is most probably the solution of

    (S⁻¹ + P' W P) kappa = P' W d                                                                              (normal)

where S is C(l) on the diagonal in Fourier space, P the spin-2 kernel of lensing followed by the cut of the field out
of a larger area, and P' its adjoint, the E mode of Kaiser and Squires (1993). It is also the linear map of the least
mean square error whatever the field's higher moments. The area must be larger than the field, else the prior makes
opposite edges of the sky correlate, and mass just outside of the field, which shears the galaxies inside, has no
place.

Neither S nor W is diagonal where the other is, so the equations are solved by conjugate gradients, for the data in
units of their noise,

    (1 + W^½ P S P' W^½) y = W^½ d,      kappa = S P' W^½ y,

which is the same kappa. Masked pixels do nothing there, all eigenvalues are 1 but for those of the few modes that
stand out of the noise, and of these the largest is one plus their signal-to-noise ratio: some 40 steps for a field of
512² pixels of a deep survey. (To divide by the spectrum of a periodic field of even noise besides, as is often done,
takes more steps than it saves as soon as there is a mask or an edge.) On an unpadded, unmasked field of even noise the
solution is C / (C + A / w) times the map of Kaiser and Squires.

Power in steradian and variances of pixels meet in the solid angle A of a pixel: white noise of variance 1 / w in
pixels has the power A / w, and a field of power C has the variance C / A in the modes of an orthonormal transform.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lensdask.arrays import Array, like, namespace
from lensdask.conventions import ARCMIN
from lensdask.errors import InputError, check_number
from lensdask.fourier import multipoles
from lensdask.maps.fields import check_maps, checked_pixel_scale
from lensdask.maps.grids import area_shape, zero_padded
from lensdask.sky.lensing import convergence_of_shear, shear_of_convergence
from lensdask.sky.power import ConvergencePower

__all__ = ["WienerMap", "wiener"]

_MARGIN = 4.0
"""How much smaller than asked the residual of y is made: that of the normal equations also knows the range of w."""


class WienerMap(NamedTuple):
    """A convergence map, and how well it satisfies the normal equations."""

    kappa: Array
    """Shape (field, y, x)."""
    residual: Array
    """|P'W(d - P kappa) - S⁻¹ kappa| / |P'W d| over the area, shape (field,)."""
    iterations: int
    """Steps until the slowest field was done."""


class _Sky(NamedTuple):
    """The prior on an area: Fourier modes u of unit variance make the convergence S^½ u and the shear P S^½ u.

    amplitude is S^½, shape (y, x // 2 + 1); kernel the two components of P S^½, shape (2, y, x // 2 + 1).
    """

    shape: tuple[int, int]
    amplitude: Array
    kernel: Array

    def modes(self, shear: Array) -> Array:
        """Return S^½ P' of shears (field, 2, y, x) in the corner of the area, shape (field, y, x // 2 + 1)."""
        planes = namespace(shear).fft.rfftn(shear, s=self.shape, axes=(-2, -1))
        return planes[:, 0, ...] * self.kernel[0, ...] + planes[:, 1, ...] * self.kernel[1, ...]

    def shear(self, modes: Array, height: int, width: int) -> Array:
        """Return P S^½ of modes in the corner of the area, shape (field, 2, height, width)."""
        return self.maps(modes[:, None, ...] * self.kernel)[..., :height, :width]

    def maps(self, modes: Array) -> Array:
        """Return the real maps (..., y, x) of modes."""
        return namespace(modes).fft.irfftn(modes, s=self.shape, axes=(-2, -1))


def wiener(
    g1: Array,
    g2: Array,
    weight: Array,
    *,
    pixel_scale: float,
    power: ConvergencePower,
    padding: float = 1.5,
    tolerance: float = 1e-6,
    iterations: int = 500,
) -> WienerMap:
    """Return the Wiener-filtered convergence of fields, in double precision inside.

    Parameters
    ----------
    g1, g2
        Shear, shape (field, y, x) of NumPy, CuPy or torch. Reduced shear stands for shear to first order in kappa.
    weight
        Inverse variance of each component, 0 where there is no galaxy or no footprint; shear there is not looked at.
    pixel_scale
        Arcmin.
    power
        Power of the convergence of these sources.
    padding
        Side of the area over that of the field; 1 takes the field to be periodic.
    tolerance
        Residual of the normal equations to reach.
    iterations
        Steps at most; `WienerMap.residual` tells what was reached.

    Returns
    -------
    WienerMap
        kappa has the type of the shear. A field's map does not depend on the other fields.

    Raises
    ------
    InputError
        Maps that are masked arrays, not finite, of different shapes or not (field, y, x), a negative weight, pixels
        that are not square, a padding below 1.
    """
    pixel_scale = checked_pixel_scale(pixel_scale)
    check_maps("weight", g1=g1, g2=g2, weight=weight)
    if g1.ndim != 3:
        raise InputError(f"g1: shape {tuple(g1.shape)}; expected (field, y, x)")
    check_number("tolerance", tolerance, above=0)
    xp, (height, width) = namespace(g1), g1.shape[-2:]
    root = xp.sqrt(xp.astype(weight, xp.float64))[:, None, ...]
    shear = xp.astype(xp.stack([g1, g2], axis=1), xp.float64)
    data = root * xp.where(root > 0, shear, xp.zeros_like(shear))
    sky = _sky(area_shape(height, width, padding), pixel_scale, power, data)

    def equations(y: Array) -> Array:
        return y + root * sky.shear(sky.modes(root * y), height, width)

    solution, steps = _conjugate_gradients(equations, data, tolerance / _MARGIN, iterations)
    kappa = sky.maps(sky.amplitude * sky.modes(root * solution))[..., :height, :width]
    left = _e_mode(sky, root * (data - equations(solution)))
    residual = _norm(left) / _nonzero(_norm(_e_mode(sky, root * data)))
    return WienerMap(xp.astype(kappa, g1.dtype), residual, steps)


def _sky(shape: tuple[int, int], pixel_scale: float, power: ConvergencePower, reference: Array) -> _Sky:
    l1, l2 = multipoles(shape, pixel_scale)
    amplitude = np.sqrt(power.at(np.hypot(l1, l2))) / (pixel_scale * ARCMIN)
    # The kernel is the transform of the shear of a point mass at the origin.
    point = np.zeros(shape)
    point[0, 0] = 1.0
    kernel = np.fft.rfft2(np.stack(shear_of_convergence(point))).real
    return _Sky(shape, like(amplitude, reference), like(kernel * amplitude, reference))


def _e_mode(sky: _Sky, shear: Array) -> Array:
    """Return P' of shears (field, 2, y, x) in the corner of the area: the map of Kaiser and Squires on all of it."""
    padded = zero_padded(shear, sky.shape)
    return convergence_of_shear(padded[:, 0, ...], padded[:, 1, ...])[0]


def _conjugate_gradients(
    matrix: Callable[[Array], Array], right: Array, tolerance: float, iterations: int
) -> tuple[Array, int]:
    """Solve one symmetric positive system per row until |residual| <= tolerance |right| in each; rows done stand still.

    Returns the solution, shaped as the right-hand sides (row, ...), and the number of steps.
    """
    xp = namespace(right)
    solution, residual, direction = xp.zeros_like(right), right, right
    square = _dot(residual, residual)
    goal = tolerance**2 * square
    for step in range(iterations):
        running = square > goal
        if not bool(xp.any(running)):
            return solution, step
        turned = matrix(direction)
        length = xp.where(running, square, 0 * square) / _nonzero(_dot(direction, turned))
        solution = solution + _rows(length, right) * direction
        residual = residual - _rows(length, right) * turned
        before, square = square, _dot(residual, residual)
        direction = residual + _rows(square / _nonzero(before), right) * direction
    return solution, iterations


def _rows(numbers: Array, like_rows: Array) -> Array:
    return namespace(numbers).reshape(numbers, (-1,) + (1,) * (like_rows.ndim - 1))


def _dot(a: Array, b: Array) -> Array:
    return namespace(a).sum(a * b, axis=tuple(range(1, a.ndim)))


def _norm(a: Array) -> Array:
    return namespace(a).sqrt(_dot(a, a))


def _nonzero(numbers: Array) -> Array:
    """Return numbers with 1 in place of 0, to divide by where the dividend is 0 as well."""
    xp = namespace(numbers)
    return xp.where(numbers == 0, xp.ones_like(numbers), numbers)
