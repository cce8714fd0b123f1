"""Where the chunks of a store are, and which writes are refused since they do not fill whole ones."""

import itertools
import math
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import zarr

from lensdask.data.schema import Schema
from lensdask.errors import InputError
from lensdask.places import Place
from lensdask.remote import RemotePath

__all__ = ["chunk_file", "chunk_parts", "chunk_region", "chunk_start", "dims_of", "make_way", "write_unit"]


def chunk_parts(schema: Schema, sizes: Mapping[Any, int], step: int) -> Iterator[tuple[int, dict[str, int | slice]]]:
    """Give the start of each chunk of a dataset, and which elements it has.

    Parameters
    ----------
    schema
        Of the dataset.
    sizes
        Lengths of the dimensions.
    step
        Length of a chunk along the unit dimension.

    Yields
    ------
    start, rows
        The position as `lensdask.data.write_chunk` counts it, and what `isel` takes.
    """
    size = sizes[schema.unit_dim]
    for row, place in enumerate(np.ndindex(*(sizes[dim] for dim in schema.outer_dims))):
        for start in range(0, size, step):
            rows: dict[str, int | slice] = dict(zip(schema.outer_dims, place, strict=True))
            yield row * size + start, rows | {schema.unit_dim: slice(start, start + step)}


def chunk_region(
    where: str, target: "zarr.Array[Any]", schema: Schema, start: int, values: np.ndarray
) -> tuple[slice, ...]:
    """Return the region of `target` that `values` fills, or refuse it.

    Two tasks that write parts of one chunk both read it, change their part and put it back, and one
    of the parts is silently lost. Neither Zarr nor xarray prevents that for arrays in memory.

    Parameters
    ----------
    where
        The array, for messages.
    target
        Array of a store.
    schema
        Of the store.
    start
        As in `lensdask.data.write_chunk`.
    values
        Without outer dimensions.

    Raises
    ------
    InputError
        Shape or type are others, or the chunks are not whole.
    """
    unit, outer = schema.unit_dim, len(schema.outer_dims)
    axis, shape = dims_of(target).index(unit), target.shape[outer:]
    inner = axis - outer
    expected = shape[:inner] + values.shape[inner : inner + 1] + shape[inner + 1 :]
    if values.shape != expected or values.dtype != target.dtype:
        raise InputError(
            f"{where} is {values.dtype} of shape {values.shape}; "
            f"expected {target.dtype} of shape {shape}, any length along {unit!r}"
        )
    place, start = _place(where, target, schema, start)
    step, size, stop = write_unit(target, unit), target.shape[axis], start + values.shape[inner]
    if start % step or not 0 <= start < stop <= size or (stop % step and stop != size):
        raise InputError(f"{where}: {start} to {stop} of {size} along {unit!r} does not cover whole chunks of {step}")
    return (*place, *(slice(0, n) for n in shape[:inner]), slice(start, stop))


def _place(where: str, target: "zarr.Array[Any]", schema: Schema, start: int) -> tuple[list[slice], int]:
    """Return where a chunk is along the outer dimensions, of which there may be none, and along the unit dimension."""
    if not schema.outer_dims:
        return [], start
    sizes = tuple(target.shape[dims_of(target).index(dim)] for dim in (*schema.outer_dims, schema.unit_dim))
    if not 0 <= start < math.prod(sizes):
        raise InputError(f"{where}: no chunk {start} of {math.prod(sizes)}")
    *place, first = (int(i) for i in np.unravel_index(start, sizes))
    return [slice(i, i + 1) for i in place], first


def make_way(path: Place, name: str, target: "zarr.Array[Any]", region: tuple[slice, ...]) -> None:
    """Refuse to write through a link to a place outside of the store, and remove folders in place of chunks.

    Files are replaced by what is written.

    Raises
    ------
    InputError
        There is one.
    """
    if isinstance(path, RemotePath):
        return
    root, steps = path.resolve(), target.shards or target.chunks
    numbers = [range(part.start // step, -(-part.stop // step)) for part, step in zip(region, steps, strict=False)]
    for position in itertools.product(*numbers, *([0] for _ in range(target.ndim - len(region)))):
        chunk = path / name / target.metadata.encode_chunk_key(position)
        if not chunk.parent.resolve().is_relative_to(root):
            raise InputError(f"{path}: a link in {name!r} leads out of the store; expected a folder of its own")
        if chunk.is_dir() and not chunk.is_symlink():
            shutil.rmtree(chunk)


def chunk_file(path: Place, name: str, array: "zarr.Array[Any]", place: tuple[int, ...]) -> Place:
    """Return the file of a chunk, or of a shard, by its number along each dimension."""
    return path / name / array.metadata.encode_chunk_key(place)


def chunk_start(array: "zarr.Array[Any]", schema: Schema, place: tuple[int, ...]) -> int:
    """Return where a chunk of a chunked variable starts, as `lensdask.data.write_chunk` counts."""
    dims, unit = dims_of(array), schema.unit_dim
    number = dict(zip(dims, place, strict=True))
    start = 0
    for dim in schema.outer_dims:
        start = start * array.shape[dims.index(dim)] + number[dim]
    return start * array.shape[dims.index(unit)] + number[unit] * write_unit(array, unit)


def dims_of(array: "zarr.Array[Any]") -> tuple[str | None, ...]:
    """Return the names of the dimensions of an array, nothing where it has none."""
    return tuple(getattr(array.metadata, "dimension_names", None) or ())


def write_unit(array: "zarr.Array[Any]", unit: str) -> int:
    """Return the length along a dimension of what is written at once."""
    # The inner chunks of a sharded array are not written alone; a shard may hold thousands.
    return int((array.shards or array.chunks)[dims_of(array).index(unit)])
