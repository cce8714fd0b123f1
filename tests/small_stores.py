"""A small store of every schema, with all that it may hold; and stores as older versions of lensdask wrote them."""

from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

from lensdask import data
from lensdask.data import SCHEMAS, Schema, Variable

SIZES = {"tile": 40, "parameter": 2}
ATTRIBUTES = {"text": "a", "number": 0.5, "whole number": 1, "list of text": ["a", "b"], "list of numbers": [0.5, 2]}


def _values(variable: Variable, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if variable.dtype == "str":
        return np.array([f"name {n}" for n in range(np.prod(shape))]).reshape(shape)
    # No zeros: what is filled in for a whole number that is lost is one.
    kind = np.dtype(variable.dtype).kind
    return (rng.normal(size=shape) if kind == "f" else rng.integers(1, 99, size=shape)).astype(variable.dtype)


def small_dataset(schema: Schema) -> xr.Dataset:
    """Return a dataset of random numbers, three elements along most dimensions."""
    rng = np.random.default_rng(1)
    arrays = {
        name: (variable.dims, _values(variable, tuple(SIZES.get(d, 3) for d in variable.dims), rng))
        for name, variable in (schema.variables | schema.coords).items()
    }
    attributes = {name: ATTRIBUTES[attribute.kind] for name, attribute in schema.attributes.items()}
    dataset = xr.Dataset(arrays, attrs=attributes | data.common_attributes(schema, {}))
    return dataset.set_coords(list(schema.coords))


def small_store(path: Path, name: str) -> Path:
    """Write a small store of a schema, in several chunks, and return its path."""
    schema = SCHEMAS[name]
    data.write(small_dataset(schema), path, chunk=1 if schema.outer_dims else 2)
    return path


def make_old(path: Path) -> None:
    """Turn a store into what lensdask 0.1 wrote: without checksums, and without chunks that are all fill value."""
    group = zarr.open_group(path)
    for name, array in dict(group.arrays()).items():
        values, meta = array[...], array.metadata
        group.create_array(
            name,
            overwrite=True,
            shape=array.shape,
            dtype=array.dtype,
            chunks=array.chunks,
            shards=array.shards,
            compressors=[BloscCodec(cname="lz4", shuffle="shuffle")],
            fill_value=array.fill_value,
            dimension_names=meta.dimension_names,
            attributes=dict(array.attrs),
        )[...] = values
    del group.attrs["metadata_sha256"]
