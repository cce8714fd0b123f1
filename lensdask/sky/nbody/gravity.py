"""The field whose divergence is minus a given one: displacements of linear theory, and forces.

For a field δ and ∇²φ = δ this is -∇φ, in Fourier space i k δ(k) / k². In cells of the mesh.

Forces are divided by the windows of painting and reading, without which they lack 8 % at 0.7 h / Mpc for cells of
1 Mpc / h. And they end at 0.7 of the Nyquist frequency of the mesh: particles start in a regular grid, whose harmonic
is that frequency, and forces near it make the grid itself collapse, at the cost of true long waves.
"""

import math
from collections.abc import Iterator

import numpy as np

from lensdask.arrays import Array, like, namespace, to_numpy
from lensdask.sky.nbody.mesh import field_of, mesh_wave_numbers, paint, read, transform_of

__all__ = ["accelerate", "force_kernel", "green_function", "minus_gradients"]

_CUT = 0.7 * math.pi
"""Where forces end, radians per cell; they are exp(-(k / cut)^8) of the true ones."""


def green_function(size: int, reference: Array) -> Array:
    """Return 1 / k² in cells², 0 at k = 0, shape (size, size, size // 2 + 1).

    Parameters
    ----------
    size
        Cells on a side.
    reference
        Whose library, device and precision the result takes.
    """
    x, y, z = mesh_wave_numbers(size, reference)
    square = x**2 + y**2 + z**2
    xp = namespace(square)
    return xp.where(square > 0, 1 / xp.where(square > 0, square, xp.ones_like(square)), xp.zeros_like(square))


def force_kernel(size: int, reference: Array) -> Array:
    """Return `green_function` over the windows of painting and reading, and cut; of the same shape."""
    waves = mesh_wave_numbers(size, reference)
    square = waves[0] ** 2 + waves[1] ** 2 + waves[2] ** 2
    smooth = namespace(square).exp(-((square / _CUT**2) ** 4))
    for wave in waves:
        # A cloud in a cell has the window sinc², and once to paint, once to read.
        smooth = smooth / like(np.sinc(to_numpy(wave) / (2 * math.pi)) ** 4, wave)
    return green_function(size, reference) * smooth


def minus_gradients(transform: Array, green: Array) -> Iterator[Array]:
    """Yield the components of -∇φ along x, y and z, with ∇²φ = δ, each of shape (size, size, size).

    Parameters
    ----------
    transform
        That of δ, shape (size, size, size // 2 + 1).
    green
        `green_function` or `force_kernel` of this size.
    """
    potential = transform * green
    for axis, wave_number in enumerate(mesh_wave_numbers(len(transform), green)):
        yield field_of(potential * (1j * _without_nyquist(wave_number, axis)))


def _without_nyquist(wave_number: Array, axis: int) -> Array:
    """Return a wave number that is 0 at the Nyquist frequency, where a real field has no slope."""
    size = wave_number.shape[axis]
    kept = np.ones(wave_number.shape)
    # The half axis ends there; the full ones have it in the middle.
    kept.ravel()[-1 if axis == 2 else size // 2] = 0.0
    return wave_number * like(kept, wave_number)


def accelerate(momentum: Array, position: Array, kernel: Array, factor: float) -> None:
    """Add to the momenta of particles, in place, the force of all of them.

    Parameters
    ----------
    momentum, position
        Shape (3, particle), positions in cells.
    kernel
        Of `force_kernel`.
    factor
        What the force -∇φ with ∇²φ = δ is multiplied by.
    """
    size = len(kernel)
    # The mean of the density is the wave k = 0, which has no force.
    density = transform_of(paint(position, size)) * (size**3 / position.shape[1])
    for axis, force in enumerate(minus_gradients(density, kernel)):
        momentum[axis, ...] += factor * read(force, position)
