"""Zarr stores on disk: a template, then whole chunks, then opened lazily.

Chunks that were never written read as NaN, or raise where numbers are whole or text, so an unfinished store cannot pass
for a complete one. Chunks carry checksums, and so do the metadata: what is damaged is refused by name, never read.
"""

import glob
import os
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
import zarr

from lensdask.data.checked import checked_arrays
from lensdask.data.checksums import SEAL, check_seal, configuration_hash
from lensdask.data.regions import chunk_parts, chunk_region, dims_of, refuse_links, write_unit
from lensdask.data.schema import Schema, UserColumn
from lensdask.data.schemas import SCHEMAS
from lensdask.data.template import coordinate_values, layout_from_sizes, with_ranges, write_template
from lensdask.errors import InputError
from lensdask.places import local_path
from lensdask.version import code_version

__all__ = [
    "arrays_of",
    "chunked",
    "common_attributes",
    "create",
    "open",
    "open_group",
    "remove",
    "require_store",
    "sweep_partial",
    "write",
    "write_chunk",
]

PathLike = str | os.PathLike[str]


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
        Directory of the store; must not exist.
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
    with _staged(Path(path), overwrite=False) as staging:
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


def write_chunk(path: PathLike, start: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Write whole chunks of every chunked variable. This is the only writer.

    Parameters
    ----------
    path
        Directory of the store.
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
    path = Path(path)
    group, schema = open_group(path, "r+")
    targets = chunked(arrays_of(path, group), schema)
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
        refuse_links(path, name, targets[name], region)
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
        Directory of the store.
    chunk
        Length of a chunk along ``schema.unit_dim``; the schema's by default.
    overwrite
        Replace a store at `path`, once the new one is complete.

    Raises
    ------
    InputError
        The dataset does not follow a schema that this lensdask knows, or the path exists.
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
    with _staged(local_path(path, "a store"), overwrite) as staging:
        write_template(
            staging,
            schema,
            layout,
            sizes={str(dim): size for dim, size in dataset.sizes.items()},
            attributes={str(key): value for key, value in dataset.attrs.items()},
            coords={str(name): coordinate_values(values) for name, values in dataset.coords.items()},
            whole=whole,
            chunk=step,
        )
        for start, rows in chunk_parts(schema, dataset.sizes, step):
            block = dataset.drop_vars(whole).isel(rows)
            # Asked for what is in memory, `compute` imports Dask.
            block = block.compute() if block.chunks else block
            write_chunk(staging, start, {str(n): v.values for n, v in block.data_vars.items()})


def open(path: PathLike) -> xr.Dataset:  # noqa: A001  users write lensdask.open
    """Open any store of lensdask lazily, one Dask chunk per unit of writing, or per chunk that can be read alone.

    Maps that were written without the coordinates of their pixels get them.

    Parameters
    ----------
    path
        Directory of the store.

    Raises
    ------
    InputError
        Nothing is at the path, it is no store of lensdask, its schema or version is unknown, or it is damaged. What is
        read later raises the same for a chunk that is damaged, or missing where that would pass for data.
    """
    path = local_path(path, "a store")
    group, schema = open_group(path, "r")
    units = {write_unit(array, schema.unit_dim) for array in chunked(arrays_of(path, group), schema).values()}
    chunks = {} if schema.outer_dims else {schema.unit_dim: max(units, default=-1)}
    dataset = _read_dataset(path, chunks)
    try:
        dataset = schema.renamed(with_ranges(path, dataset), str(path))
        schema.validate(dataset)
        schema = schema.with_columns_of(dataset)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    for name, coordinate in dataset.coords.items():
        if schema.unit_dim not in coordinate.dims or schema.outer_dims:
            dataset[name] = coordinate.load()
    for name, variable in (*schema.variables.items(), *schema.coords.items()):
        if variable.dtype == "str" and (name in dataset.coords or isinstance(variable, UserColumn)):
            # Of text of any length xarray cannot make missing values.
            dataset[name] = dataset[name].copy(data=np.array(dataset[name].values.tolist(), dtype=str))
    return schema.described(dataset)


def _read_dataset(path: Path, chunks: dict[str, int]) -> xr.Dataset:
    try:
        with checked_arrays():
            dataset: xr.Dataset = xr.open_zarr(
                path, consolidated=False, zarr_format=3, chunks=chunks, decode_times=False
            )
    except InputError:
        raise
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: arrays that do not fit together ({reason}); expected one of lensdask") from error
    dataset.attrs.pop(SEAL, None)
    return dataset


def require_store(path: PathLike) -> None:
    """Check that a path is a store of lensdask, of any schema and version, that may be deleted.

    Raises
    ------
    InputError
        It is something else, or a link.
    """
    _read_group(Path(path), "r")
    if Path(path).is_symlink():
        raise InputError(f"{path} is a link, which lensdask does not delete; expected the store itself")


def remove(path: PathLike) -> None:
    """Delete a store of lensdask, of any schema and version.

    It is renamed first: a path holds a whole store or none, also if this is cut off; `sweep_partial` takes the rest.

    Raises
    ------
    InputError
        The path is something else, which is never deleted, or a link. Links inside are removed, not followed.
    """
    require_store(path)
    shutil.rmtree(Path(path).rename(_partial(Path(path))))


def sweep_partial(path: PathLike) -> int:
    """Remove what killed writers left in and beside a store; return how many files and directories.

    No writer may be at work. The leftovers never replace finished chunks, since Zarr writes beside
    and renames; they only fill the disk. Links are removed, not followed.
    """
    path = Path(path)
    leftovers = [*path.rglob("*.partial"), *path.parent.glob(f".{glob.escape(path.name)}.*.partial")]
    for leftover in leftovers:
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()
    return len(leftovers)


def _own_attributes(schema: Schema) -> dict[str, Any]:
    return {
        "schema": schema.name,
        "schema_version": schema.version,
        "code_version": code_version(),
    }


@contextmanager
def _staged(path: Path, overwrite: bool) -> Iterator[Path]:
    """Give a sibling to write into; it becomes `path` if all goes well, else it is removed."""
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; replace it with overwrite=True")
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = _partial(path)
    try:
        yield staging
        if overwrite and path.exists():
            remove(path)
        staging.rename(path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _partial(path: Path) -> Path:
    """Return a name beside a store for what is not whole yet, or any more."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")


def _read_group(path: Path, mode: Literal["r", "r+"]) -> tuple[zarr.Group, str, object]:
    if not path.exists():
        raise InputError(f"{path} does not exist; expected a store written by lensdask")
    try:
        # What lies in the store counts, not what consolidated metadata, which lensdask never writes, say of it.
        group = zarr.open_group(path, mode=mode, zarr_format=3, use_consolidated=False)
        return group, str(group.attrs["schema"]), group.attrs["schema_version"]
    except (FileNotFoundError, NotADirectoryError, KeyError, ValueError) as error:
        # Not every error of the file system: one worker may have lost a mount that the others see.
        raise InputError(f"{path} is not a store written by lensdask") from error


def open_group(path: Path, mode: Literal["r", "r+"]) -> tuple[zarr.Group, Schema]:
    """Return the group of a store, whose metadata are whole, and its schema.

    Raises
    ------
    InputError
        As for `open`.
    """
    check_seal(path)
    group, name, version = _read_group(path, mode)
    schema = SCHEMAS.get(name)
    if schema is None:
        raise InputError(f"{path}: schema {name!r} is unknown; expected {' or '.join(SCHEMAS)}")
    if version != schema.version:
        raise InputError(f"{path}: version {version} of schema {name!r}; this lensdask reads {schema.version}")
    return group, schema


def arrays_of(path: Path, group: zarr.Group) -> "dict[str, zarr.Array[Any]]":
    """Return the arrays of a store, checked when they are read.

    Raises
    ------
    InputError
        One of them is none that lensdask could have written.
    """
    try:
        with checked_arrays():
            return dict(group.arrays())
    except ValueError as error:
        detail = str(error).splitlines()[0]
        raise InputError(f"{path}: an array cannot be read ({detail}); expected one written by lensdask") from error


def chunked(arrays: "Mapping[str, zarr.Array[Any]]", schema: Schema) -> "dict[str, zarr.Array[Any]]":
    """Return those arrays that are written chunk by chunk."""
    unit = schema.unit_dim
    return {name: array for name, array in arrays.items() if name in schema.variables and unit in dims_of(array)}
