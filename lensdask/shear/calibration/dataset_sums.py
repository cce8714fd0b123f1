"""One pass over a dataset of shapes: sums over blocks of galaxies, chunk by chunk.

Every chunk of a lazy dataset is loaded once and leaves nothing but its sums, on as many workers as Dask has. Memory is
that of a few chunks and of the ids: eight bytes for each galaxy, and as much again while they are checked. A block that
chunks cut is put together again before it is summed up, so the sums are the same to the last bit however the dataset is
chunked.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import compute
from dask.delayed import delayed

from lensdask.errors import InputError
from lensdask.shear.shapes.measurement import COLUMNS
from lensdask.stats import block_length

__all__ = ["galaxies_per_block", "sums_of_dataset"]

Float64 = npt.NDArray[np.float64]
SumsOfTable = Callable[[Float64, int], Float64]

_GALAXIES_AT_ONCE = 2**14
"""The double-precision table of so many galaxies under four shears is 5 MB."""

_BLOCKS_OF_A_CHUNK = 16


def galaxies_per_block(shapes: xr.Dataset) -> int:
    """Return the length of a block: simulated galaxies, known by their shear, come in orthogonal pairs.

    Parameters
    ----------
    shapes
        Dataset of the shapes schema.

    Raises
    ------
    InputError
        Pairs are incomplete or apart.
    """
    if "g1" not in shapes.coords:
        return block_length(shapes.sizes["galaxy"])
    ids = shapes["galaxy"].values
    if len(ids) % 2 or (ids[::2] % 2).any() or (ids[1::2] != ids[::2] + 1).any():
        raise InputError(
            "shapes: galaxies are not in orthogonal pairs 2p, 2p + 1; expected whole pairs side by side, and cuts as a "
            "selection"
        )
    return 2 * block_length(len(ids) // 2)


def sums_of_dataset(shapes: xr.Dataset, length: int, sums: SumsOfTable, others: Sequence[xr.DataArray] = ()) -> Float64:
    """Return sums over the blocks of a dataset; lazy chunks are loaded once, in parallel.

    Parameters
    ----------
    shapes
        Dataset of the shapes schema, in memory or lazy.
    length
        Galaxies per block.
    sums
        Pure function of a table, shape (galaxy, ..., column), and of the length of a block; returns sums, shape
        (block, ...). Columns are as in `lensdask.shear.shapes.measurement.COLUMNS`, then come the others.
    others
        Further quantities, shape (galaxy,).

    Returns
    -------
    Float64
        Shape (block, ...).

    Raises
    ------
    InputError
        Shapes of a weight are not finite: chunks that were never written, for one; or a weight is negative.
    """
    arrays = [shapes[name].variable for name in COLUMNS] + [other.variable for other in others]
    if all(array.chunks is None for array in arrays):
        values = [array.values for array in arrays]
        return _sums_in_steps(lambda rows: _packed(*(v[rows] for v in values)), len(values[0]), length, sums)
    packed = _lazily_packed(arrays, length)
    stops = np.cumsum(packed.chunks[0])
    tasks = [
        delayed(_sums_of_chunk)(chunk, int(stop), is_last=bool(stop == stops[-1]), length=length, sums=sums)
        for chunk, stop in zip(packed.to_delayed().ravel(), stops, strict=True)
    ]
    return np.concatenate(list(_with_cut_blocks(compute(*tasks), length, sums)))


def _lazily_packed(arrays: Sequence[xr.Variable], length: int) -> da.Array:
    """Return all columns in one lazy array, shape (galaxy, ..., column); with an output for each they would be ten."""
    columns = xr.Dataset({str(i): array for i, array in enumerate(arrays)}).unify_chunks()
    # In chunks along galaxies alone; what is in memory becomes lazy.
    columns = columns.chunk(dict.fromkeys(columns.dims, -1) | {"galaxy": columns.chunksizes["galaxy"]})
    last = max(array.ndim for array in arrays)
    packed: da.Array = da.blockwise(
        _packed,
        range(last + 1),
        *(part for column in columns.values() for part in (column.data, range(column.ndim))),
        new_axes={last: len(arrays)},
        dtype=np.result_type(*arrays),
    )
    chunks = np.array(packed.chunks[0])
    if (np.cumsum(chunks[:-1]) % length).any():
        # Rows of cut blocks are kept until the end: with chunks of 16 blocks they are 6 %. Whole chunks are joined,
        # since pieces of a chunk would wait for each other in memory.
        group = -(-_BLOCKS_OF_A_CHUNK * length // int(chunks.max()))
        joined = np.add.reduceat(chunks, np.arange(0, len(chunks), group))
        packed = packed.rechunk({0: tuple(joined.tolist())}, method="tasks")
    return packed


def _packed(*columns: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Stack columns of shape (galaxy, ...) or (galaxy,) along a new last axis."""
    shape = columns[0].shape
    whole = [np.broadcast_to(c.reshape(-1, *[1] * (len(shape) - 1)) if c.ndim == 1 else c, shape) for c in columns]
    return np.stack(whole, axis=-1)


def _sums_of_chunk(
    packed: npt.NDArray[Any], stop: int, *, is_last: bool, length: int, sums: SumsOfTable
) -> tuple[npt.NDArray[Any], Float64 | None, npt.NDArray[Any]]:
    """Return the sums of whole blocks, and before and after them the rows of blocks that go on in other chunks."""
    count = len(packed)
    first, last = (count - stop) % length, count if is_last else count - stop % length
    if first >= last:
        return packed, None, packed[:0]
    inner = _sums_in_steps(packed[first:last].__getitem__, last - first, length, sums)
    # Views would keep the whole chunk in memory.
    return packed[:first].copy(), inner, packed[last:].copy()


def _with_cut_blocks(
    chunks: Iterable[tuple[npt.NDArray[Any], Float64 | None, npt.NDArray[Any]]], length: int, sums: SumsOfTable
) -> Iterator[Float64]:
    """Yield the sums of all blocks in order: those of chunks, and between them those of the blocks that chunks cut."""
    rows: list[npt.NDArray[Any]] = []
    for head, inner, tail in chunks:
        rows.append(head)
        if inner is not None:
            yield from _sums_of_cut(rows, length, sums)
            yield inner
            rows = [tail]
    yield from _sums_of_cut(rows, length, sums)


def _sums_of_cut(rows: Sequence[npt.NDArray[Any]], length: int, sums: SumsOfTable) -> Iterator[Float64]:
    whole = np.concatenate(rows)
    if len(whole):
        yield _sums_in_steps(whole.__getitem__, len(whole), length, sums)


def _sums_in_steps(read: Callable[[slice], npt.NDArray[Any]], count: int, length: int, sums: SumsOfTable) -> Float64:
    """Return sums of rows that are read a few at a time, since sums take many times the memory of shapes."""
    step = max(1, _GALAXIES_AT_ONCE // length) * length
    return np.concatenate([sums(_finite(read(slice(i, i + step))), length) for i in range(0, count, step)])


def _finite(packed: npt.NDArray[Any]) -> Float64:
    table = packed.astype(np.float64)
    weight = table[..., COLUMNS.index("weight")]
    # Nobody looks at what has no weight, but 0 times what is not finite would count.
    table[(weight == 0)[..., None] & ~np.isfinite(table)] = 0
    shapes = table[..., : len(COLUMNS)].reshape(len(table), -1)
    broken = ~np.isfinite(shapes).all(axis=1)
    if broken.any():
        raise InputError(f"shapes: {broken.sum()} of {len(table)} galaxies are not finite; drop them or resume the run")
    if (weight < 0).any():
        raise InputError(f"shapes: weight of {weight.min():.4g} for a galaxy; expected 0 or more")
    return table
