"""Between particles and a periodic mesh, and Fourier transforms of the mesh.

A particle is a cube as large as a cell, of uniform density (cloud in cell): it adds to the eight cells that it overlaps
as much as lies in each, and reads a field with the same weights. So it exerts no force on itself.

Positions are in cells, from 0 to the number of cells on a side, shape (3, particle), float32. The centre of a cell is a
whole number, so the mesh is shifted by half a cell with respect to a picture of it, which changes nothing.
"""

import math
from collections.abc import Iterator

import array_api_compat
import numpy as np
from scipy.fft import irfftn, rfftn

from lensdask.arrays import Array, like, namespace
from lensdask.sky.nbody.loops import compiled_loops

__all__ = ["field_of", "mesh_wave_numbers", "paint", "read", "transform_of"]

_UNIT = 2**24
"""The mass of a particle where masses are whole numbers."""


def paint(position: Array, size: int) -> Array:
    """Return the number of particles in each cell.

    The result does not depend on the order in which a device adds: on a GPU, where it varies from call to call, masses
    are whole numbers, at 1 / 2^24 of a particle.

    Parameters
    ----------
    position
        In cells, shape (3, particle).
    size
        Cells on a side.

    Returns
    -------
    Array
        float32, shape (size, size, size); its sum is the number of particles.
    """
    if array_api_compat.is_torch_array(position):
        return _paint_whole_numbers(position, size)
    loops = compiled_loops()
    if loops is None:
        parts = (np.bincount(cell, weight, minlength=size**3) for cell, weight in _corners(position, size))
        return sum(parts, start=np.zeros(size**3)).astype(np.float32).reshape(size, size, size)
    field = np.zeros((size, size, size), np.float32)
    loops.paint(position, field)
    return field


def _paint_whole_numbers(position: Array, size: int) -> Array:
    xp = namespace(position)
    field = xp.zeros(size**3, dtype=xp.int64, device=position.device)
    for cell, weight in _corners(position, size):
        field.index_add_(0, cell, xp.astype(xp.round(weight * _UNIT), xp.int64))
    return xp.reshape(xp.astype(field, xp.float32) / _UNIT, (size, size, size))


def read(field: Array, position: Array) -> Array:
    """Return a field at the particles, shape (particle,).

    Parameters
    ----------
    field
        Shape (size, size, size), float32.
    position
        In cells, shape (3, particle).
    """
    loops = compiled_loops() if array_api_compat.is_numpy_array(field) else None
    if loops is None:
        xp = namespace(field)
        flat = xp.reshape(field, (-1,))
        parts = (xp.take(flat, cell) * weight for cell, weight in _corners(position, len(field)))
        return sum(parts, start=xp.zeros_like(position[0, ...]))
    out = np.empty(position.shape[1], np.float32)
    loops.read(field, position, out)
    return out


def _corners(position: Array, size: int) -> Iterator[tuple[Array, Array]]:
    """Yield for each corner of the particles the number of its cell and the mass there, both of shape (particle,)."""
    xp = namespace(position)
    floor = xp.floor(position)
    share = position - floor
    # Rounding puts some particles on the far face, which is the near one.
    low = xp.astype(floor, xp.int64) % size
    sides = ((low, 1 - share), ((low + 1) % size, share))
    for (i, u), (j, v), (k, w) in ((a, b, c) for a in sides for b in sides for c in sides):
        yield (i[0, ...] * size + j[1, ...]) * size + k[2, ...], u[0, ...] * v[1, ...] * w[2, ...]


def transform_of(field: Array) -> Array:
    """Return the transform of a real field (size, size, size), complex, shape (size, size, size // 2 + 1)."""
    # NumPy's transform would be in double precision; scipy's takes half the time.
    return rfftn(field) if array_api_compat.is_numpy_array(field) else namespace(field).fft.rfftn(field)


def field_of(transform: Array) -> Array:
    """Return the real field of a transform."""
    shape = (len(transform),) * 3
    if array_api_compat.is_numpy_array(transform):
        return irfftn(transform, s=shape)
    return namespace(transform).fft.irfftn(transform, s=shape)


def mesh_wave_numbers(size: int, reference: Array) -> tuple[Array, Array, Array]:
    """Return the wave numbers of a transform along x, y and z, in radians per cell; they broadcast.

    Parameters
    ----------
    size
        Cells on a side.
    reference
        Whose library, device and precision the result takes.
    """
    full, half = (2 * math.pi * f(size) for f in (np.fft.fftfreq, np.fft.rfftfreq))
    parts = (full[:, None, None], full[None, :, None], half[None, None, :])
    x, y, z = (like(part, reference) for part in parts)
    return x, y, z
