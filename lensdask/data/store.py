"""Zarr stores on disk: a template, then whole chunks, then opened lazily.

Chunks that were never written read as NaN, or raise where numbers are whole or text, so an unfinished store cannot pass
for a complete one. Chunks carry checksums, and so do the metadata: what is damaged is refused by name, never read.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import xarray as xr
import zarr

from lensdask.data.checked import RemoteStore, checked_arrays, zarr_store
from lensdask.data.checksums import SEAL, configuration_hash, seal
from lensdask.data.groups import arrays_of, chunked, open_group, staged
from lensdask.data.regions import chunk_parts, chunk_region, make_way, write_unit
from lensdask.data.schema import Schema, UserColumn
from lensdask.data.schemas import SCHEMAS
from lensdask.data.template import coordinate_values, layout_from_sizes, with_ranges, write_template
from lensdask.errors import InputError
from lensdask.places import PathLike, Place, local_path, located, version_of
from lensdask.remote import reached
from lensdask.version import code_version

__all__ = ["common_attributes", "create", "open", "write", "write_chunk"]


def common_attributes(schema: Schema, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that datasets of every schema carry, for one made under `config`."""
    return _own_attributes(schema) | {"configuration_hash": configuration_hash(config)}


def create(
    path: PathLike,
    schema: Schema,
    *,
    sizes: Mapping[str, int],
    coords: Mapping[str, Any],
    attributes: Mapping[str, Any],
    chunk: int | None = None,
    fixed: Mapping[str, Any] | None = None,
    optional: Collection[str] = (),
) -> None:
    """Write the template of a store: everything but the chunked variables.

    Parameters
    ----------
    path
        Directory of the store, on this machine; must not exist.
    schema
        What the store will hold.
    sizes
        Length of each dimension. Optional dimensions left out are absent from the store.
    coords
        Coordinates, whole; a `range` takes no room in memory, and as an index none on disk.
    attributes
        Those of the schema; schema, schema_version and code_version are filled in.
    chunk
        Length of a chunk along ``schema.unit_dim``; the schema's by default.
    fixed
        Variables without ``schema.unit_dim``, whole: one PSF for all galaxies.
    optional
        Names of further variables that the store will hold, among those that a dataset may lack.

    Raises
    ------
    InputError
        The path exists, or an array does not follow the schema or the sizes.
    """
    whole = {name: np.asarray(values) for name, values in (fixed or {}).items()}
    with staged(local_path(path, "a store that is written in parts"), overwrite=False) as staging:
        write_template(
            staging,
            schema,
            layout_from_sizes(schema, sizes, whole, optional),
            sizes=sizes,
            attributes=_own_attributes(schema) | dict(attributes),
            coords={name: v if isinstance(v, range) else np.asarray(v) for name, v in coords.items()},
            whole=whole,
            chunk=schema.chunk if chunk is None else chunk,
        )
        seal(staging)


def write_chunk(path: PathLike, start: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Write whole chunks of every chunked variable.

    Parameters
    ----------
    path
        Directory of the store, on this machine.
    start
        Position of the first element along the store's unit dimension; where the schema has outer dimensions, position
        of the chunk among all, the last dimension fastest.
    arrays
        Every chunked variable by name, without outer dimensions, all of one length along the unit dimension.

    Raises
    ------
    InputError
        Start or end is not at a chunk boundary (the end of the store is one), a name is unknown or
        missing, a shape or type differs from the template, or a link leads out of the store.
    """
    path = local_path(path, "a store that is written in parts")
    group, schema = open_group(path, "r+")
    _fill(path, schema, chunked(arrays_of(path, group), schema), start, arrays)


def _fill(
    path: Place,
    schema: Schema,
    targets: "Mapping[str, zarr.Array[Any]]",
    start: int,
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Write whole chunks into the chunked variables of a store. This is the only writer."""
    for verb, names in (("lacks", set(targets) - set(arrays)), ("has", set(arrays) - set(targets))):
        if names:
            expected = ", ".join(targets)
            raise InputError(f"{path}: the chunk {verb} {min(names)!r}; expected {expected}")
    regions = {
        name: chunk_region(f"{path}: {name!r}", target, schema, start, arrays[name]) for name, target in targets.items()
    }
    if len({region[-1].stop for region in regions.values()}) > 1:
        raise InputError(f"{path}: the arrays of the chunk at {start} differ in length")
    for name, region in regions.items():
        make_way(path, name, targets[name], region)
    # In the order of their names: where the last one is, all are.
    for name, region in sorted(regions.items()):
        targets[name][region] = arrays[name][(None,) * len(schema.outer_dims)]


def write(dataset: xr.Dataset, path: PathLike, *, chunk: int | None = None, overwrite: bool = False) -> None:
    """Write a dataset of one of our schemas whole, computing it chunk by chunk if it is lazy.

    Parameters
    ----------
    dataset
        Names its schema in the attribute ``schema``, and follows it.
    path
        Directory of the store, or its URL: ``s3://bucket/name`` (needs ``pip install 'lensdask[s3]'``),
        ``memory://name``, any that fsspec writes to.
    chunk
        Length of a chunk along ``schema.unit_dim``; the schema's by default.
    overwrite
        Replace a store at `path`, once the new one is complete.

    Raises
    ------
    InputError
        The dataset does not follow a schema that this lensdask knows, the path exists, or the URL cannot be written to.
    ConnectionError
        The server of a URL does not answer.
    """
    name = str(dataset.attrs.get("schema"))
    if name not in SCHEMAS:
        raise InputError(f"dataset to write: its schema is {name!r}; expected {' or '.join(SCHEMAS)}")
    schema = SCHEMAS[name]
    schema.validate(dataset)
    columns, schema = schema.columns_of(dataset), schema.with_columns_of(dataset)
    unit, step = schema.unit_dim, schema.chunk if chunk is None else chunk
    layout = {str(name): tuple(map(str, v.dims)) for name, v in dataset.data_vars.items()}
    whole = {name: dataset[name].values for name, dims in layout.items() if unit not in dims or name in columns}
    coords = {str(name): coordinate_values(values) for name, values in dataset.coords.items()}
    place = located(path)
    with staged(place, overwrite) as staging:
        with reached(place):
            write_template(
                staging,
                schema,
                layout,
                sizes={str(dim): size for dim, size in dataset.sizes.items()},
                attributes={str(key): value for key, value in dataset.attrs.items()},
                coords=coords,
                whole=whole,
                chunk=step,
            )
            targets = chunked(
                arrays_of(staging, zarr.open_group(zarr_store(staging, "r+"), use_consolidated=False)), SCHEMAS[name]
            )
        for start, rows in chunk_parts(schema, dataset.sizes, step):
            block = dataset.drop_vars(whole).isel(rows)
            # Asked for what is in memory, `compute` imports Dask.
            block = block.compute() if block.chunks else block
            with reached(place):
                _fill(staging, schema, targets, start, {str(n): v.values for n, v in block.data_vars.items()})
        # Last: what is not sealed is no store, if this is cut off.
        seal(staging)


def open(path: PathLike) -> xr.Dataset:  # noqa: A001  users write lensdask.open
    """Open any store of lensdask lazily, one Dask chunk per unit of writing, or per chunk that can be read alone.

    Maps that were written without the coordinates of their pixels get them.

    Parameters
    ----------
    path
        Directory of the store, or its URL: ``s3://bucket/name`` (needs ``pip install 'lensdask[s3]'``),
        ``memory://name``, any that fsspec reads and lists.

    Raises
    ------
    InputError
        Nothing is at the path, it is no store of lensdask, its schema or version is unknown, or it is damaged. What is
        read later raises the same for a chunk that is damaged, or missing where that would pass for data.
    ConnectionError
        The server of a URL does not answer.
    """
    place = located(path)
    group, schema = open_group(place, "r")
    units = {write_unit(array, schema.unit_dim) for array in chunked(arrays_of(place, group), schema).values()}
    chunks = {} if schema.outer_dims else {schema.unit_dim: max(units, default=-1)}
    dataset = _read_dataset(place, chunks)
    try:
        dataset = schema.renamed(with_ranges(place, dataset), str(place))
        schema.validate(dataset)
        schema = schema.with_columns_of(dataset)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    for name, coordinate in dataset.coords.items():
        if schema.unit_dim not in coordinate.dims or schema.outer_dims:
            dataset[name] = coordinate.load()
    for name, variable in (*schema.variables.items(), *schema.coords.items()):
        if variable.dtype == "str" and (name in dataset.coords or isinstance(variable, UserColumn)):
            # Of text of any length xarray cannot make missing values.
            dataset[name] = dataset[name].copy(data=np.array(dataset[name].values.tolist(), dtype=str))
    return schema.described(dataset)


def _read_dataset(path: Place, chunks: dict[str, int]) -> xr.Dataset:
    store = zarr_store(path, "r")
    if isinstance(store, RemoteStore):
        store.version = version_of(path / "zarr.json")
    try:
        with checked_arrays(), reached(path):
            dataset: xr.Dataset = xr.open_zarr(
                store, consolidated=False, zarr_format=3, chunks=chunks, decode_times=False
            )
    except InputError:
        raise
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: arrays that do not fit together ({reason}); expected one of lensdask") from error
    dataset.attrs.pop(SEAL, None)
    return dataset


def _own_attributes(schema: Schema) -> dict[str, Any]:
    return {
        "schema": schema.name,
        "schema_version": schema.version,
        "code_version": code_version(),
    }
