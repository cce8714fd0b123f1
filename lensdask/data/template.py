"""The template of a store: metadata, coordinates and whole arrays, with the chunks still empty."""

import operator
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from lensdask.data.checked import checked_arrays, zarr_store
from lensdask.data.schema import Schema, Variable, implied_coordinates
from lensdask.errors import InputError
from lensdask.places import Place

__all__ = ["Layout", "coordinate_values", "layout_from_sizes", "with_ranges", "write_template"]

_RANGES = "index_ranges"
"""Attribute of the group: start, stop and step of each index that is a range, by its name. An array of the ids of
4e9 galaxies would be 32 GB, and no reader would be content with less than all of it."""

# Indices are read whole at every opening: few large pieces, whatever the chunks of variables.
_COORDINATE_CHUNK = 1 << 20

Layout = Mapping[str, tuple[str, ...]]
"""Dimensions of each variable that a store has."""


def layout_from_sizes(
    schema: Schema, sizes: Mapping[str, int], whole: Mapping[str, np.ndarray], optional: Collection[str] = ()
) -> Layout:
    """Return the layout of a store that has the required variables, those of `whole` and the `optional` ones named.

    Raises
    ------
    InputError
        A dimension that is not optional has no size, or a name is unknown.
    """
    if unknown := sorted(set(optional) - set(schema.variables)):
        raise InputError(f"{schema.name} store: {unknown[0]!r} is unknown; expected {', '.join(schema.variables)}")
    layout = {}
    for name, variable in schema.variables.items():
        if variable.required or name in whole or name in optional:
            layout[name] = _dims(schema, variable, sizes, name in whole)
            if missing := [d for d in layout[name] if d not in sizes]:
                raise InputError(f"{schema.name} store: no size for {missing[0]!r}; {name!r} needs it")
    return layout


def write_template(
    path: Place,
    schema: Schema,
    layout: Layout,
    *,
    sizes: Mapping[str, int],
    attributes: Mapping[str, Any],
    coords: Mapping[str, np.ndarray | range],
    whole: Mapping[str, np.ndarray],
    chunk: int,
) -> None:
    """Write a group with `coords` and `whole` filled in, other variables of `layout` empty.

    An index that is a `range` is written as one, and takes no room. Coordinates that follow from the attributes are
    added, where `coords` has none. Its metadata are still to be sealed: before that, no reader
    takes it for a store.

    Raises
    ------
    InputError
        Attributes, names, shapes or types do not follow the schema and the sizes.
    """
    schema.check_attributes(attributes)
    schema.check_types(attributes)
    coords = implied_coordinates(schema, sizes, attributes) | dict(coords)
    _check_names(schema, coords, whole)
    if chunk < 1:
        raise InputError(f"{schema.name} store: chunk is {chunk}; expected at least 1")
    if schema.outer_dims and chunk != 1:
        raise InputError(f"{schema.name} store: chunk is {chunk}; expected 1")
    ranges = {n: [v.start, v.stop, v.step] for n, v in coords.items() if isinstance(v, range) and n in sizes}
    # xarray takes arrays not named after a dimension for data, unless they are listed here.
    auxiliary = {"coordinates": " ".join(name for name in coords if name not in sizes)}
    known = _plain(attributes) | auxiliary | ({_RANGES: ranges} if ranges else {})
    group = zarr.create_group(zarr_store(path, "r+"), attributes=known)
    for name, dims in layout.items():
        if name not in whole:
            _create_array(group, schema, name, dims, tuple(sizes[d] for d in dims), chunk)
    for name, values in (*coords.items(), *whole.items()):
        _write_whole(group, schema, name, values, sizes, chunk)


def coordinate_values(coordinate: xr.DataArray) -> np.ndarray | range:
    """Return the values of a coordinate of a dataset, for another store: a `range` where its index is one."""
    index = coordinate.indexes.get(coordinate.name)
    return range(index.start, index.stop, index.step) if isinstance(index, pd.RangeIndex) else coordinate.values


def with_ranges(path: Place, dataset: xr.Dataset) -> xr.Dataset:
    """Return a dataset as it was read from a store with the indices that are ranges, none of which is in memory.

    Raises
    ------
    InputError
        What the store says of them is nothing that lensdask writes.
    """
    ranges = dataset.attrs.pop(_RANGES, {})
    try:
        indices = {name: pd.RangeIndex(*map(operator.index, bounds)) for name, bounds in ranges.items()}
        fits = all(dataset.sizes.get(name) == len(index) for name, index in indices.items())
    except (AttributeError, TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise InputError(f"{path}: {_RANGES!r} is {ranges!r:.60}; expected start, stop and step of indices by name")
    # Of plain arrays xarray asks whether they are Dask's.
    return dataset.assign_coords({n: xr.Variable((n,), index, fastpath=True) for n, index in indices.items()})


def _check_names(schema: Schema, coords: Mapping[str, Any], whole: Mapping[str, Any]) -> None:
    for declared, given in ((schema.coords, coords), (schema.variables, whole)):
        if unknown := sorted(set(given) - set(declared)):
            raise InputError(f"{schema.name} store: {unknown[0]!r} is unknown; expected {', '.join(declared)}")
    if missing := [n for n, v in schema.coords.items() if v.required and n not in coords]:
        raise InputError(f"{schema.name} store: coordinate {missing[0]!r} is missing")


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Turn NumPy numbers, which JSON does not know, into Python's."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in attributes.items()}


def _dims(schema: Schema, variable: Variable, sizes: Mapping[str, int], whole: bool) -> tuple[str, ...]:
    return variable.dims_among([d for d in sizes if not (whole and d == schema.unit_dim)])


def _write_whole(
    group: zarr.Group, schema: Schema, name: str, values: np.ndarray | range, sizes: Mapping[str, int], chunk: int
) -> None:
    is_coord = name in schema.coords
    variable = schema.coords[name] if is_coord else schema.variables[name]
    # A dataset cut at one shear keeps that shear as a number without dimensions.
    shape = (len(values),) if isinstance(values, range) else values.shape
    dims = _dims(schema, variable, sizes, not is_coord) if shape else ()
    expected = tuple(sizes[d] for d in dims)
    if shape != expected:
        raise InputError(f"{schema.name} store: {name!r} has shape {shape}; expected {expected}")
    schema.check_array(name, variable, dims, np.asarray(values[:1] if shape else values).dtype)
    if isinstance(values, range) and name in sizes:
        return
    # Only the index of a dimension is read at every opening; other coordinates are opened lazily, like variables.
    is_whole = name in sizes or bool(is_coord and schema.outer_dims)
    array = _create_array(group, schema, name, dims, expected, _COORDINATE_CHUNK if is_whole else chunk)
    array[...] = np.asarray(values)


def _create_array(
    group: zarr.Group,
    schema: Schema,
    name: str,
    dims: tuple[str, ...],
    shape: tuple[int, ...],
    chunk: int,
) -> "zarr.Array[Any]":
    is_coord = name in schema.coords
    variable = schema.coords[name] if is_coord else schema.variables[name]
    # Text of any length: NumPy's of fixed length is no part of the format.
    dtype = np.dtypes.StringDType() if variable.dtype == "str" else np.dtype(variable.dtype)
    steps = tuple(max(1, min(chunk, n) if d == schema.unit_dim else n) for d, n in zip(dims, shape, strict=True))
    chunks, shards = (steps, None) if is_coord else _inner_chunks(schema, dims, steps)
    # The checksum last: what is damaged never comes to Blosc, which trusts the lengths that it reads.
    compressors = [BloscCodec(cname=schema.compressor, shuffle="shuffle"), Crc32cCodec()]
    with checked_arrays():
        return group.create_array(
            name,
            shape=shape,
            dtype=dtype,
            chunks=chunks,
            shards=shards,
            compressors=compressors,
            # A chunk that was never written must not pass for a measured zero.
            fill_value={"f": np.nan, "T": ""}.get(dtype.kind, 0),
            dimension_names=dims,
            attributes={**variable.description},
        )


def _inner_chunks(
    schema: Schema, dims: tuple[str, ...], steps: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return the chunks of a variable, and the shards that hold them where what is written at once has several."""
    whole = tuple(1 if d in schema.outer_dims else step for d, step in zip(dims, steps, strict=True))
    if not schema.inner_chunks:
        return whole, None
    chunks = tuple(min(schema.inner_chunks.get(d, n), n) for d, n in zip(dims, whole, strict=True))
    # A shard holds whole chunks; the last of them may reach beyond the array.
    return chunks, tuple(-(-n // chunk) * chunk for n, chunk in zip(whole, chunks, strict=True))
