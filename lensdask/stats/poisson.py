"""Numbers of galaxies or photons: Poisson's distribution from a counter, alike on every array library.

The count is the exact inverse of the distribution function at one random word u of 32 bits for each pixel, the least n
with u < F(n; λ). It is found in a table over λ in steps of 1/8 and over u in 512 cells, which holds the n at both ends
of a cell: since n grows with λ and with u, the ends bracket it. In four of five pixels they agree. In the others n is
found by bisection with the distribution function itself,

    F(n; λ₀ + f) = Σ_k exp(-f) f^k / k! · F(n - k; λ₀),      f < 1/8,

the sum of a Poisson number of mean λ₀, whose distribution function is a table, and one of mean f. Seven terms leave
1e-10, half of the step of u. Linear interpolation in λ spares that sum where it decides already: the second derivative
of F is the difference of two probabilities, nowhere above 1 or 0.4 / λ, and 1/512 of that is its error. Beyond λ = 256
the count is the sum of independent ones, by the binary digits of λ / 256, each with a random word of its own. Every
probability is therefore right to the 2^-32 of the random words.

The count grows with λ for the same word: samples of one id at neighbouring parameters share their noise, and their
differences are smooth.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import pdtr

from lensdask.arrays import Array, constant, index_like, namespace
from lensdask.errors import InputError
from lensdask.random import Stream, normals, philox, words

__all__ = ["HIGHEST", "anscombe_counts", "poisson_counts"]

Float64 = npt.NDArray[np.float64]

_WORD = 2**32 - 1
_STEP = 1 / 8
_TOP = 256
"""Largest λ of the table, and the λ of the first of the binary digits beyond."""
_BITS = 9
_CELLS = _WIDTH = 2**_BITS
"""Cells of u, and counts of the table: F(511; 256) is 1 but for 1e-42."""
_TERMS = 7
_COLUMNS = _WIDTH + _TERMS - 1
"""Columns of the table of distribution functions: its counts, after some negative ones."""
_DIGITS = 11

HIGHEST = _TOP * 2**_DIGITS
"""λ must be below: 524 288."""


def poisson_counts(mean: Array, ids: npt.NDArray[np.int64], seed: int, stream: Stream = Stream.COUNTS) -> Array:
    """Return Poisson numbers.

    Parameters
    ----------
    mean
        λ of each pixel, 0 to `HIGHEST`, shape (sample, ...).
    ids
        Ids of the samples, shape (sample,).
    seed
        Seed of the run.
    stream
        What the numbers are for.

    Returns
    -------
    Array
        Whole numbers, of the shape and type of the means.

    Raises
    ------
    InputError
        A mean is negative, not finite or too large.
    """
    xp = namespace(mean)
    numbers = index_like(ids, mean)
    flat = xp.reshape(mean, (mean.shape[0], -1))
    word = xp.reshape(words(numbers, flat.shape[1], seed, stream), (-1,))
    flat = xp.reshape(flat, (-1,))
    # Not a number is neither below nor above.
    large = xp.nonzero(~((flat >= 0) & (flat < _TOP)))[0]
    if len(large) == 0:
        return xp.reshape(_tabulated(flat, word), mean.shape)
    digits, rest = _split(flat, large)
    counts = _tabulated(rest, word)
    per_sample = flat.shape[0] // mean.shape[0]
    pixel, sample = large % per_sample, xp.take(numbers, large // per_sample, axis=0)
    counts[large] += xp.astype(_by_digits(digits, pixel, sample, seed, stream), counts.dtype)
    return xp.reshape(counts, mean.shape)


def _split(mean: Array, large: Array) -> tuple[Array, Array]:
    """Return the multiples of `_TOP` in those means that are large, and all means less these."""
    xp = namespace(mean)
    beyond = xp.take(mean, large, axis=0)
    if not bool(xp.all((beyond >= 0) & (beyond < HIGHEST))):
        ends = f"{float(xp.min(beyond)):g} to {float(xp.max(beyond)):g}"
        raise InputError(f"mean counts: {ends}; expected numbers from 0 to below {HIGHEST}")
    digits = xp.astype(xp.floor(beyond / _TOP), xp.int64)
    rest = xp.astype(mean, mean.dtype, copy=True)
    rest[large] = beyond - _TOP * xp.astype(digits, mean.dtype)
    return digits, rest


def _tabulated(mean: Array, word: Array) -> Array:
    """Return the counts of means from 0 to `_TOP` for random words, shape (pixel,)."""
    xp = namespace(mean)
    place = xp.astype(mean * (1 / _STEP), xp.int64) * _CELLS + (word >> (32 - _BITS))
    counts = xp.take(constant(_guide, reference=mean), place, axis=0)
    unsure = xp.nonzero(counts < 0)[0]
    code = xp.astype(-xp.take(counts, unsure, axis=0), xp.int64) - 1
    exact = xp.astype(xp.take(mean, unsure, axis=0), xp.float64)
    row = xp.astype(exact * (1 / _STEP), xp.int64)
    chance = (xp.astype(xp.take(word, unsure, axis=0), xp.float64) + 0.5) * 2.0**-32
    found = _bisected(code & (_WIDTH - 1), code >> _BITS, row, exact - _STEP * row, chance)
    counts[unsure] = xp.astype(found, counts.dtype)
    return counts


def _bisected(low: Array, width: Array, row: Array, fraction: Array, chance: Array) -> Array:
    """Return the least n with chance < F(n; λ), between low and low + width, for means λ = row / 8 + fraction."""
    xp = namespace(low)
    found = xp.astype(low, low.dtype, copy=True)
    left = xp.arange(len(low), dtype=xp.int64, device=low.device)
    while len(left):
        half = width // 2
        below = _is_below(chance, low + half, row, fraction)
        low, width = xp.where(below, low, low + half + 1), xp.where(below, half, width - half - 1)
        found[left] = low
        # Few cells hold more than two counts: those of the tails.
        on = xp.nonzero(width > 0)[0]
        left, low, width, row, fraction, chance = (
            xp.take(each, on, axis=0) for each in (left, low, width, row, fraction, chance)
        )
    return found


def _is_below(chance: Array, n: Array, row: Array, fraction: Array) -> Array:
    """Return whether chance < F(n; row / 8 + fraction)."""
    xp = namespace(n)
    table = constant(_functions, reference=fraction)
    place = row * _COLUMNS + (n + _TERMS - 1)
    function = xp.take(table, place, axis=0)
    function += (xp.take(table, place + _COLUMNS, axis=0) - function) * (fraction / _STEP)
    below = chance < function
    error = xp.clip(0.4 / (_STEP * xp.clip(xp.astype(row, xp.float64), min=1.0)), max=1.0) * (_STEP**2 / 8)
    near = xp.nonzero(abs(chance - function) < error)[0]
    if len(near):
        chance, n, row, fraction = (xp.take(each, near, axis=0) for each in (chance, n, row, fraction))
        below[near] = chance < _distribution(n, row, fraction)
    return below


def _distribution(n: Array, row: Array, fraction: Array) -> Array:
    """Return F(n; row / 8 + fraction), float64."""
    xp = namespace(n)
    table = constant(_functions, reference=fraction)
    place = row * _COLUMNS + n
    total = xp.take(table, place, axis=0)
    # Horner's scheme, from the last term; the column of n - k stands k before that of n.
    for k in range(_TERMS - 1, 0, -1):
        total = xp.take(table, place + (_TERMS - k), axis=0) + total * (fraction / k)
    return xp.exp(-fraction) * total


def _by_digits(digits: Array, pixel: Array, sample: Array, seed: int, stream: Stream) -> Array:
    """Return sums of Poisson numbers of mean 256 · 2^j over the digits j that are set, shape (pixel,), int64."""
    xp = namespace(digits)
    total, left = xp.zeros_like(digits), xp.arange(len(digits), dtype=xp.int64, device=digits.device)
    for group in range(-(-_DIGITS // 4)):
        left = xp.take(left, xp.nonzero(xp.take(digits, left, axis=0) >> 4 * group)[0], axis=0)
        number = xp.take(sample, left, axis=0)
        # Apart from the counters of the other words, which are a quarter of the number of pixels.
        counter = xp.take(pixel, left, axis=0) + (group + 1) * 2**30
        key = seed & _WORD, seed >> 32
        drawn = philox((counter, 0 * number + stream, number & _WORD, number >> 32), key)
        for j, word in enumerate(drawn, start=4 * group):
            on = xp.nonzero((xp.take(digits, left, axis=0) >> j) & 1)[0]
            chance = (xp.astype(xp.take(word, on, axis=0), xp.float64) + 0.5) * 2.0**-32
            function = constant(_one_function, j, reference=chance)
            found = _first(j) + xp.searchsorted(function, chance, side="right")
            total[xp.take(left, on, axis=0)] += xp.astype(found, total.dtype)
    return total


def _functions() -> Float64:
    """Return F(n; λ) of all rows after six zeros each, shape (row · (6 + n),)."""
    mean = _STEP * np.arange(round(_TOP / _STEP) + 1)
    table = pdtr(np.arange(_WIDTH), mean[:, None])
    return np.asarray(np.pad(table, ((0, 0), (_TERMS - 1, 0))).ravel())


def _guide() -> Float64:
    """Return of each row and cell the count, or -(1 + low + 512 · width) where it is undecided, shape (row · cell,)."""
    functions = _functions().reshape(-1, _COLUMNS)[:, _TERMS - 1 :]
    ends = np.append(np.arange(_CELLS) / _CELLS, 1 - 2.0**-33)
    least = np.array([np.searchsorted(function, ends, side="right") for function in functions])
    low, high = least[:-1, :-1], least[1:, 1:]
    return np.where(low == high, low, -(1.0 + low + _WIDTH * (high - low))).ravel()


def _first(digit: int) -> int:
    """Return the first count of the distribution function of a digit, below which no random word falls."""
    mean = _TOP * 2**digit
    return int(max(mean - 8 * mean**0.5, 0))


def _one_function(digit: int) -> Float64:
    """Return F(n; 256 · 2^digit) within 8 standard deviations, shape (n,)."""
    mean = _TOP * 2**digit
    return np.asarray(pdtr(np.arange(_first(digit), mean + int(8 * mean**0.5)), mean), dtype=np.float64)


def anscombe_counts(mean: Array, ids: npt.NDArray[np.int64], seed: int) -> Array:
    """Return the approximation of Poisson numbers of appendix F, from normal ones.

    The mean is too high by 0.05 at λ = 0.1, 0.14 at 1, 0.25 at 5 and beyond, where it grows no more.

    Parameters
    ----------
    mean, ids, seed
        As for `poisson_counts`.
    """
    xp = namespace(mean)
    count = int(np.prod(mean.shape[1:]))
    white = xp.reshape(normals(index_like(ids, mean), count, seed, Stream.COUNTS), mean.shape)
    least = xp.clip(mean, min=1e-12)
    z = 2 * xp.sqrt(mean + 0.375) - 0.25 / xp.sqrt(least) + xp.astype(white, mean.dtype)
    inverse = 1 / xp.clip(z, min=1.0)
    root = 1.5**0.5
    value = z**2 / 4 - 0.125 + inverse * (root / 4 + inverse * (-1.375 + inverse * (0.625 * root)))
    return xp.round(xp.where(z < 1, 0.0, xp.clip(value, min=0.0)))
