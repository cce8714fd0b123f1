"""What each sample is made of, by its id: a simulated box, tiles of it, their place and flips, and parameters.

Ω_m and S₈ of a sample are those of its box. The others are a point of Sobol's sequence over the prior, whose number is
the id, so that sample 17 is the same in any chunk, process or restart. All of it is a few numbers per sample and made
with NumPy, wherever the maps are.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, index_like, namespace
from lensdask.errors import InputError, check_number, check_seed
from lensdask.lss.forward.model import COSMOLOGY, ForwardModel
from lensdask.lss.forward.sobol import sobol
from lensdask.lss.parameters import BINS, FIELDS, s8
from lensdask.random import Stream, words

__all__ = ["Boxes", "Samples", "check_theta", "draw_samples", "take_tiles", "tile_groups"]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

_READ = 32
"""Tiles that are read together, as stores have them."""

_SPARE = 1.5
"""Tiles of a group over those of a mosaic, at least, so that two mosaics of a group are different ones."""


@dataclass(frozen=True)
class Boxes:
    """The simulated boxes at hand, one for each cosmology and seed.

    Parameters
    ----------
    omega_m, sigma8
        Cosmology of each box, shape (box,).
    tiles
        Tiles of each box.

    Raises
    ------
    InputError
        No box, or not one cosmology for each.
    """

    omega_m: npt.ArrayLike
    sigma8: npt.ArrayLike
    tiles: int

    def __post_init__(self) -> None:
        shapes = np.shape(self.omega_m), np.shape(self.sigma8)
        if len(shapes[0]) != 1 or shapes[0] != shapes[1] or shapes[0] == (0,):
            raise InputError(f"omega_m, sigma8 of boxes: shapes {shapes[0]}, {shapes[1]}; expected (box,) for both")
        check_number("tiles of a box", self.tiles, least=1, below=2**31, whole=True)

    @property
    def cosmology(self) -> Float64:
        """Ω_m and S₈ of each box, shape (box, 2)."""
        omega_m = np.asarray(self.omega_m, dtype=np.float64)
        return np.stack([omega_m, s8(omega_m, self.sigma8)], axis=1)


class Samples(NamedTuple):
    """Samples of the forward model, NumPy's arrays.

    Parameters
    ----------
    ids
        Shape (sample,), int64. They key all that is random.
    box
        Number of the box, shape (sample,).
    tile
        Numbers of different tiles of the box in the order of their places, row by row from the first of each axis,
        shape (sample, tile).
    flip
        Whether a tile is turned over along y and along x, shape (sample, tile, 2), bool.
    theta
        Parameters, in the order of `ForwardModel.parameters`, shape (sample, parameter), float64.
    """

    ids: Int64
    box: Int64
    tile: Int64
    flip: npt.NDArray[np.bool_]
    theta: Float64

    def rows(self, rows: Int64 | slice) -> "Samples":
        """Return some of the samples."""
        return Samples(self.ids[rows], self.box[rows], self.tile[rows], self.flip[rows], self.theta[rows])


def tile_groups(tiles: int, wanted: int) -> tuple[int, int]:
    """Return how the tiles of a box are grouped: those of a mosaic are of one group, which is all that has to be read.

    Parameters
    ----------
    tiles
        Tiles of a box.
    wanted
        Tiles of a mosaic.

    Returns
    -------
    size, count
        Tiles of a group, and number of groups; the last one has what is left over as well.
    """
    size = _READ * math.ceil(_SPARE * wanted / _READ)
    return size, max(tiles // size, 1)


def draw_samples(
    ids: npt.ArrayLike,
    boxes: Boxes,
    model: ForwardModel,
    seed: int,
    fixed: Mapping[str, float] | None = None,
    share: int = 1,
) -> Samples:
    """Return the samples of some ids.

    Parameters
    ----------
    ids
        Shape (sample,), 0 to 2^52, in any order.
    boxes
        The boxes at hand.
    model
        Its parameters, prior and number of tiles.
    seed
        Seed of the run.
    fixed
        Values of parameters that are not drawn, by name, such as ``model.fiducial``. Not Ω_m and S₈: choose boxes.
    share
        How many ids in sequence share a box, ids 0 to share - 1 the first, for whoever reads boxes from a disk.

    Raises
    ------
    InputError
        No ids, fewer tiles than a mosaic has, a name that is no parameter to draw, a value or box outside the prior.
    """
    check_seed(seed)
    check_number("share", share, least=1, whole=True)
    numbers = np.asarray(ids)
    if numbers.ndim != 1 or not len(numbers) or numbers.dtype.kind not in "iu":
        raise InputError(
            f"ids: shape {numbers.shape}, {numbers.dtype}; expected (sample,), whole numbers, at least one"
        )
    numbers = numbers.astype(np.int64)
    if boxes.tiles < model.tiles:
        raise InputError(f"tiles of a box: {boxes.tiles}; expected {model.tiles} at least, those of a mosaic")
    # The first word of an id stands for a box, the last for a group of its tiles, the others for tiles and their flips.
    drawn = words(numbers, 2 + 2 * model.tiles, seed, Stream.MOSAIC)
    cosmology = boxes.cosmology
    box = _below(words(numbers // share, 1, seed, Stream.MOSAIC)[:, 0], len(cosmology))
    theta = _parameters(numbers, cosmology[box], model, seed, fixed or {})
    turns = drawn[:, 1 + model.tiles : -1, None]
    flip = np.concatenate([turns & 1, (turns >> 1) & 1], axis=2).astype(bool)
    size, count = tile_groups(boxes.tiles, model.tiles)
    group = _below(drawn[:, -1], count)
    number = np.where(group == count - 1, boxes.tiles - (count - 1) * size, size)
    tile = size * group[:, None] + _different(drawn[:, 1 : 1 + model.tiles], number)
    return Samples(numbers, box, tile, flip, theta)


def _below(word: Int64, number: int | Int64) -> Int64:
    """Return whole numbers from 0 to below a number, from random words."""
    return np.asarray((word * number) >> 32, dtype=np.int64)


def _different(word: Int64, number: Int64) -> Int64:
    """Return as many different whole numbers below that of a row as it has words, in random order: Fisher and Yates."""
    rows = np.arange(len(word))
    left = np.tile(np.arange(number.max(), dtype=np.int64), (len(word), 1))
    for place in range(word.shape[1]):
        other = place + _below(word[:, place], number - place)
        left[rows, other], left[rows, place] = left[rows, place], left[rows, other]
    return left[:, : word.shape[1]]


def _parameters(ids: Int64, cosmology: Float64, model: ForwardModel, seed: int, fixed: Mapping[str, float]) -> Float64:
    """Return the parameters of samples, shape (sample, parameter)."""
    drawn = tuple(name for name in model.parameters if name not in COSMOLOGY)
    for name in fixed:
        if name not in drawn:
            raise InputError(f"fixed parameter: {name!r}; expected one of {', '.join(drawn)}")
    nuisances = model.prior[len(COSMOLOGY) :]
    low, high = (np.array([getattr(each, end) for each in nuisances]) for end in ("low", "high"))
    values = low + (high - low) * sobol(ids, len(drawn), seed)
    for column, name in enumerate(drawn):
        values[:, column] = fixed.get(name, values[:, column])
    theta = np.concatenate([cosmology, values], axis=1)
    check_theta(theta, model)
    return theta


def check_theta(theta: Float64, model: ForwardModel) -> None:
    """Refuse parameters outside the prior of a model, shape (sample, parameter).

    Raises
    ------
    InputError
        The first that is outside, or a wrong number of them.
    """
    if theta.ndim != 2 or theta.shape[1] != len(model.parameters):
        raise InputError(f"theta: shape {theta.shape}; expected (sample, {len(model.parameters)})")
    for values, parameter in zip(theta.T, model.prior, strict=True):
        # Cosmologies at the edge of the prior may be known in single precision.
        margin = 1e-6 * (parameter.high - parameter.low)
        outside = ~((values >= parameter.low - margin) & (values <= parameter.high + margin))
        if outside.any():
            value, prior = values[outside][0], f"{parameter.low:g} to {parameter.high:g}"
            raise InputError(f"{parameter.name}: {value:g}; expected a number from {prior}, the prior {model.priors!r}")


def take_tiles(tiles: Array, samples: Samples) -> Array:
    """Return the tiles of samples, flipped.

    Parameters
    ----------
    tiles
        Noise-free maps in main memory or on a device, shape (box, tile, field, bin, y, x).

    Returns
    -------
    Array
        Shape (sample, field, bin, tile, y, x), of the library, the device and the type of the tiles.

    Raises
    ------
    InputError
        Tiles of another shape, or fewer boxes or tiles than the samples ask for.
    """
    if tiles.ndim != 6 or tuple(tiles.shape[2:4]) != (len(FIELDS), BINS):
        raise InputError(f"tiles: shape {tuple(tiles.shape)}; expected (box, tile, {len(FIELDS)}, {BINS}, y, x)")
    most = int(samples.box.max(initial=0)) + 1, int(samples.tile.max(initial=0)) + 1
    if tiles.shape[0] < most[0] or tiles.shape[1] < most[1]:
        raise InputError(f"tiles: {tiles.shape[0]} boxes of {tiles.shape[1]}; expected {most[0]} of {most[1]} at least")
    xp = namespace(tiles)
    size = (*samples.tile.shape, *tiles.shape[2:])
    taken = xp.empty((size[0], *size[2:4], size[1], *size[4:]), dtype=tiles.dtype, device=tiles.device)
    places = xp.permute_dims(taken, (0, 3, 1, 2, 4, 5))
    kinds = 2 * samples.flip[..., 0] + samples.flip[..., 1]
    for kind, axes in enumerate(((), (-1,), (-2,), (-2, -1))):
        where = np.nonzero(kinds == kind)
        part = tiles[index_like(samples.box[where[0]], tiles), index_like(samples.tile[where], tiles), ...]
        turned = xp.flip(part, axis=axes) if axes else part
        places[index_like(where[0], tiles), index_like(where[1], tiles), ...] = turned
    return taken
