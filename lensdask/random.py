"""Random numbers keyed by object id.

A galaxy draws the same numbers whatever chunk, worker or device it lands on, because its generator is a
Philox counter positioned at the galaxy's own id (Salmon et al. 2011). Two streams, or two ids, never overlap.

There are two of them. `generator` is NumPy's Philox4x64, with all its distributions, one object after another.
`words` and `normals` are Philox4x32 with ten rounds in array operations, for many objects at once where they are
needed: on a GPU.
Their numbers differ; those of `normals` are the same on every device up to the rounding of a logarithm.
"""

from collections.abc import Iterator
from enum import IntEnum
from math import pi

import array_api_compat
import numpy as np

from lensdask.arrays import Array, namespace

__all__ = ["Stream", "generator", "normals", "philox", "words"]

_WORD = 2**32 - 1
# Multipliers and key increments of Philox4x32.
_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10

_PIECE = 2**14
"""Values of the counter that NumPy takes at once: the arrays of a round stay in the cache, which halves the time."""


class Stream(IntEnum):
    """What a random number is for. Every use has its own number, and numbers are never reused."""

    GALAXY = 0
    """Which galaxy of the catalogue, or the parameters of a mock galaxy."""
    ORIENTATION = 1
    """Random rotation and sub-pixel offset of a galaxy."""
    NOISE = 2
    """Noise of the image."""
    RENOISE = 3
    """The second noise realisation, added by the measurement."""
    BOOTSTRAP = 4
    """Resampling of blocks."""
    TRAINING = 5
    """Order of the batches, augmentation and noise of training stamps, by epoch."""
    WEIGHTS = 6
    """Initial weights of a network."""
    BRIGHTNESS = 7
    """Signal-to-noise of a training stamp."""
    PSF = 8
    """Shape and size of one of several PSFs."""
    SKY = 9
    """Gaussian random field of a patch of sky."""
    HALO = 10
    """Number, masses, redshifts, positions and shapes of the haloes of a patch of sky."""
    COUNTS = 11
    """Galaxies in each pixel of a field, or their positions."""
    SHAPE_NOISE = 12
    """Intrinsic shapes and measurement errors of the galaxies of a field."""
    MASK = 13
    """Mask of a field."""
    SHUFFLE = 14
    """Random turns of the shears of a field, which leave its noise and destroy its mass."""
    FIELD = 15
    """Order and orientation of training fields, by epoch."""
    MOSAIC = 16
    """Which tiles a mosaic is made of, and how they are flipped."""
    STOCHASTICITY = 17
    """Phases by which the galaxies differ from the matter."""
    NUISANCE = 18
    """Parameters of a mosaic beside the cosmology."""
    CHAIN = 19
    """Steps of a Markov chain, and samples of a likelihood."""
    BOX = 20
    """Gaussian field that an N-body simulation starts from."""
    PLACEMENT = 21
    """Axis, shift and flips of the shells of a tile of a light cone."""
    LENS = 22
    """Mass and source of a strong lens."""
    SUBHALO = 23
    """Masses and places of the subhaloes of a lens."""
    SUBHALO_NUMBER = 24
    """Number of the subhaloes of a lens."""
    PHOTONS = 25
    """Electrons that light frees in each pixel of an image."""
    SPLIT = 26
    """Whether a lens is for training or validation."""


def generator(seed: int, stream: Stream, object_id: int) -> np.random.Generator:
    """Return the generator of one object in one stream.

    Parameters
    ----------
    seed
        Seed of the run, 0 to 2^63.
    stream
        What the numbers are for.
    object_id
        The object's id (galaxy, pair, block, epoch), 0 to 2^63.
    """
    bits = np.random.Philox(key=[seed, int(stream)], counter=[0, 0, 0, object_id])
    return np.random.Generator(bits)


def philox(counter: tuple[Array, Array, Array, Array], key: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Return four random words for each value of a counter: Philox4x32-10.

    Parameters
    ----------
    counter
        Four words of 32 bits, least significant first, int64 arrays that broadcast.
    key
        Two words of 32 bits.

    Returns
    -------
    tuple of Array
        Four words from 0 to 2^32 - 1, int64.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        # A product of two words fills 64 bits, of which int64 keeps the pattern.
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1 = ((p1 >> 32) ^ c1 ^ k0) & _WORD, p1
        c2, c3 = ((p0 >> 32) ^ c3 ^ k1) & _WORD, p0
        k0, k1 = (k0 + _W0) & _WORD, (k1 + _W1) & _WORD
    return c0, c1 & _WORD, c2, c3 & _WORD


def normals(ids: Array, count: int, seed: int, stream: "Stream | Array") -> Array:
    """Return standard normal numbers of each object, drawn where the array of ids is held.

    Parameters
    ----------
    ids
        Ids of the objects, 0 to 2^63, shape (object,), int64 of NumPy, CuPy or torch.
    count
        Numbers per object.
    seed
        Seed of the run, 0 to 2^63.
    stream
        What the numbers are for; or the number of a stream for each object, shape (object,), int64.

    Returns
    -------
    Array
        Shape (object, count), float32. The largest possible is 6.76.
    """
    xp = namespace(ids)
    columns = [_box_muller(piece) for piece in _pieces(ids, count, seed, stream)]
    return xp.concat([each for column in zip(*columns, strict=True) for each in column], axis=1)[:, :count]


def words(ids: Array, count: int, seed: int, stream: "Stream | Array") -> Array:
    """Return random words of each object, drawn where the array of ids is held.

    Parameters
    ----------
    ids, seed, stream
        As for `normals`.
    count
        Words per object.

    Returns
    -------
    Array
        Whole numbers from 0 to 2^32 - 1, shape (object, count), int64: those that `normals` makes its numbers of.
    """
    columns = list(_pieces(ids, count, seed, stream))
    return namespace(ids).concat([each for column in zip(*columns, strict=True) for each in column], axis=1)[:, :count]


def _pieces(ids: Array, count: int, seed: int, stream: "Stream | Array") -> Iterator[tuple[Array, ...]]:
    """Yield four words for each piece of the counters of all objects, each of shape (object, counter)."""
    xp, device = namespace(ids), array_api_compat.device(ids)
    number = -(-count // 4)
    streams, low, high = (0 * ids + stream)[:, None], (ids & _WORD)[:, None], (ids >> 32)[:, None]
    size = max(_PIECE // max(len(ids), 1), 1) if array_api_compat.is_numpy_namespace(xp) else max(number, 1)
    for start in range(0, number, size):
        block = xp.arange(start, min(start + size, number), dtype=xp.int64, device=device)[None, :]
        yield philox((block, streams, low, high), (seed & _WORD, seed >> 32))


def _box_muller(piece: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return four normal numbers for four words, float32 (Box and Muller 1958)."""
    xp = namespace(piece[0])
    first, second, third, fourth = ((xp.astype(word, xp.float32) + 0.5) * 2.0**-32 for word in piece)
    drawn: tuple[Array, ...] = ()
    for chance, turn in ((first, second), (third, fourth)):
        # A radius and an angle give two normal numbers.
        radius, angle = xp.sqrt(-2 * xp.log(chance)), 2 * pi * turn
        drawn += (radius * xp.cos(angle), radius * xp.sin(angle))
    return drawn
