"""The expected number of galaxies of each pixel: stochasticity, bias, and how empty a pixel can be.

Stochasticity
    A phase is added to each wave of a tile that is uniform between -a π and a π. It is odd, that of -k is minus that of
    k, so the field stays real; waves that are their own mirror images (k = 0 and the Nyquist corners) are left alone.
    Amplitudes do not change, hence no auto spectrum does. The correlation with the matter is the mean of the cosine,
    ρ = sin(π a) / (π a); the cross spectrum with a field that has no such phases scales as ρ, between two bins as ρ².
    With the printed a = (1 - r)^(2/3), ρ is 0.352, 0.464, 0.701, 0.925 at r = 0.4, 0.5, 0.7, 0.9.
Norm
    A pixel cannot hold fewer than 0 galaxies. Where bias asks for that it holds none, and the tile is rescaled to the
    mean count it has to have. The printed eq. 13 would change the mean count of a tile with b₂, and below 0 for some
    parameters of the prior; it has the same norm here.
"""

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, index_like, like, namespace
from lensdask.fourier import plane_of, real_of
from lensdask.lss.forward.model import ForwardModel
from lensdask.random import Stream, words

__all__ = ["biased", "correlation", "expected_counts", "phase_amplitude", "turned_phases"]

Float64 = npt.NDArray[np.float64]

_NEWTON_STEPS = 12
"""Enough for every digit of a double from the first guess, for all r."""


def phase_amplitude(r: npt.ArrayLike, stochasticity: str = "printed") -> Float64:
    """Return a, the largest phase that is added over π, for values of r_g from 0 to 1.

    Parameters
    ----------
    r
        Parameter r_g.
    stochasticity
        "printed": (1 - r)^(2/3), eq. 12. "exact": the solution of sin(π a) / (π a) = r.
    """
    r = np.asarray(r, dtype=np.float64)
    if stochasticity == "printed":
        return np.asarray((1 - r) ** (2 / 3))
    # Newton in (π a)², of which sin(π a) / (π a) = 1 - (π a)² / 6 + … is convex: from below it never oversteps.
    square = 6 * (1 - r)
    for _ in range(_NEWTON_STEPS):
        x = np.sqrt(np.maximum(square, 1e-8))
        slope = (np.cos(x) - np.sin(x) / x) / (2 * x**2)
        square = np.where(square < 1e-8, square, square - (np.sin(x) / x - r) / slope)
    return np.asarray(np.sqrt(square) / np.pi)


def correlation(a: npt.ArrayLike) -> Float64:
    """Return ρ = sin(π a) / (π a), the correlation of a field with itself after its phases are turned."""
    return np.asarray(np.sinc(np.asarray(a, dtype=np.float64)))


def turned_phases(fields: Array, a: npt.ArrayLike, ids: npt.NDArray[np.int64], seed: int) -> Array:
    """Return real fields whose waves have random phases added, eq. 12.

    Parameters
    ----------
    fields
        Shape (sample, ..., y, x); each map has phases of its own.
    a
        Largest phase over π, shape (sample,).
    ids
        Ids of the samples, shape (sample,).
    seed
        Seed of the run.
    """
    xp = namespace(fields)
    plane = plane_of(fields)
    count = int(np.prod(plane.shape[1:]))
    word = words(index_like(ids, fields), count, seed, Stream.STOCHASTICITY)
    even = xp.reshape(xp.astype(word, fields.dtype), plane.shape) * 2.0**-31 - 1
    largest = like(np.pi * np.asarray(a, dtype=np.float64).reshape(-1, *[1] * (fields.ndim - 1)), fields)
    phase = largest * _odd(even, fields.shape[-1] % 2 == 0)
    # Euler's formula, part by part: no library has it for a real array.
    turned = plane * (xp.cos(phase) + 1j * xp.sin(phase))
    return real_of(turned, (fields.shape[-2], fields.shape[-1]))


def _odd(phase: Array, even_width: bool) -> Array:
    """Return phases of a half plane, shape (..., y, x // 2 + 1), odd in its columns that hold both k and -k."""
    xp = namespace(phase)
    rows = phase.shape[-2]
    half = (rows - 1) // 2
    columns = []
    for column in (0, -1) if even_width else (0,):
        one = phase[..., 1 : half + 1, column]
        zero, middle = xp.zeros_like(phase[..., :1, 0]), xp.zeros_like(phase[..., : rows - 1 - 2 * half, 0])
        columns.append(xp.concat([zero, one, middle, -xp.flip(one, axis=-1)], axis=-1)[..., None])
    between = phase[..., 1 : phase.shape[-1] - len(columns) + 1]
    return xp.concat([columns[0], between, *columns[1:]], axis=-1)


def biased(delta: Array, b: Array, b2: Array, bias: str) -> Array:
    """Return the contrast of galaxies for a density contrast, "linear", "printed" or "released": see `ForwardModel`.

    Parameters
    ----------
    delta
        Shape (sample, bin, tile, y, x).
    b, b2
        Linear and quadratic bias, shapes that broadcast with it.
    """
    if bias == "linear":
        return b * delta
    if bias == "printed":
        return b * delta + b2 * delta**2
    return without_mean(b * delta + 0.5 * b2 * delta * abs(delta))


def without_mean(maps: Array) -> Array:
    """Return maps less the mean of each, shape (..., y, x)."""
    return maps - namespace(maps).mean(maps, axis=(-2, -1), keepdims=True)


def expected_counts(
    delta: Array,
    b: Float64,
    b2: Float64,
    r: Float64,
    ids: npt.NDArray[np.int64],
    model: ForwardModel,
    seed: int,
) -> Array:
    """Return the expected number of galaxies in each pixel.

    Parameters
    ----------
    delta
        Density contrast of matter, shape (sample, bin, tile, y, x).
    b, b2
        Linear and quadratic bias of each bin, shape (sample, bin).
    r
        Stochasticity, shape (sample,).
    ids
        Ids of the samples, shape (sample,).
    model
        Its form of bias and stochasticity, and mean count.
    seed
        Seed of the run.
    """
    a = phase_amplitude(r, model.stochasticity)
    linear, quadratic = (like(value[:, :, None, None, None], delta) for value in (b, b2))
    if model.bias == "released":
        contrast = turned_phases(biased(delta, linear, quadratic, model.bias), a, ids, seed)
    else:
        contrast = biased(turned_phases(delta, a, ids, seed), linear, quadratic, model.bias)
    xp = namespace(delta)
    full = xp.clip(1 + contrast, min=0.0)
    return full * (model.mean_count / xp.mean(full, axis=(-2, -1), keepdims=True))
