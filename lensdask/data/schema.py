"""What a schema says of its datasets, how a dataset is checked against it, and how it is described by it."""

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, TypeGuard

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from lensdask.errors import InputError
from lensdask.fourier import coordinates

__all__ = ["COMMON", "Attribute", "Schema", "UserColumn", "Variable", "implied_coordinates"]


@dataclass(frozen=True)
class Variable:
    """One array of a dataset.

    Parameters
    ----------
    dims
        Names of the dimensions, in order.
    dtype
        NumPy name of the type; "str" for text of any length.
    units
        Units, "1" where there are none.
    meaning
        One phrase for the reader of a dataset.
    optional_dims
        Dimensions a dataset may lack: real data has no ``shear``.
    required
        Whether every dataset has the variable.
    formerly
        Its name in stores of the last release.
    """

    dims: tuple[str, ...]
    dtype: str
    units: str
    meaning: str
    optional_dims: tuple[str, ...] = ()
    required: bool = True
    formerly: str | None = None

    @property
    def description(self) -> dict[str, Any]:
        """Units and meaning as attributes of an array, in memory and in stores."""
        return {"units": self.units, "long_name": self.meaning}

    def dims_among(self, present: Collection[str]) -> tuple[str, ...]:
        """Return the dimensions, without the optional ones that are not in `present`."""
        return tuple(d for d in self.dims if d in present or d not in self.optional_dims)


@dataclass(frozen=True)
class UserColumn(Variable):
    """What a user attached to the elements of the unit dimension, such as a redshift; it travels unchanged.

    Parameters
    ----------
    attributes
        Those that the user gave it.
    """

    attributes: Mapping[str, str | float | bool | None] = field(default_factory=dict)

    @property
    def description(self) -> dict[str, Any]:
        """The attributes."""
        return dict(self.attributes)


Kind = Literal["text", "number", "whole number", "list of text", "list of numbers"]


@dataclass(frozen=True)
class Attribute:
    """One attribute of a dataset.

    Parameters
    ----------
    kind
        Type of its value. A list of numbers may also be one of such lists.
    units
        Units, "1" where there are none.
    meaning
        One phrase for the reader of a dataset.
    unknown
        Whether None stands for what is not known.
    required
        Whether every dataset has the attribute.
    default
        What an optional attribute is where a dataset lacks it.
    """

    kind: Kind
    units: str
    meaning: str
    unknown: bool = False
    required: bool = True
    default: object = None

    def accepts(self, value: object) -> bool:
        """Whether a value has the type of the attribute."""
        if value is None:
            return self.unknown
        if self.kind == "list of text":
            return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
        if self.kind == "list of numbers":
            return isinstance(value, list | tuple) and all(_is_number(v) or self.accepts(v) for v in value)
        types: dict[str, type] = {"text": str, "number": Real, "whole number": Integral}
        return isinstance(value, types[self.kind]) and not isinstance(value, bool)


COMMON = {
    "schema": Attribute("text", "1", "name of the schema"),
    "schema_version": Attribute("whole number", "1", "version of the schema"),
    "code_version": Attribute("text", "1", "version of the lensdask that made the dataset"),
    "configuration_hash": Attribute("text", "1", "sha256 of what decides the content"),
}
"""What all datasets say of themselves."""


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


@dataclass(frozen=True)
class Schema:
    """What one kind of dataset holds.

    Parameters
    ----------
    name, version
        Stored in every dataset; a store of another version is refused.
    variables, coords
        The arrays, by name. Datasets hold these and no others.
    attributes
        The attributes that lensdask reads and writes, by name. A user may attach others.
    unit_dim
        Dimension along which chunks are cut.
    chunk
        Default number of elements of `unit_dim` in a chunk.
    compressor
        Name of the Blosc compressor; bytes are shuffled first.
    outer_dims
        First dimensions of the chunked variables at each of whose elements chunks are cut as well. A chunk is then one
        element of all of them and of `unit_dim`, and the position of a chunk counts these, the last dimension fastest.
    inner_chunks
        Lengths, by dimension, of the chunks that can be read alone within one that is written; for stores that are read
        at random.
    takes_columns
        Whether users may attach columns of their own along `unit_dim`.
    """

    name: str
    version: int
    variables: Mapping[str, Variable]
    coords: Mapping[str, Variable]
    attributes: Mapping[str, Attribute]
    unit_dim: str
    chunk: int
    compressor: Literal["lz4", "zstd"] = "lz4"
    outer_dims: tuple[str, ...] = ()
    inner_chunks: Mapping[str, int] = field(default_factory=dict)
    takes_columns: bool = False

    def validate(self, dataset: xr.Dataset) -> None:
        """Check that a dataset is what the schema says; values are not looked at.

        Raises
        ------
        InputError
            One line: what is wrong, in which variable, and what was expected.
        """
        self.check_attributes(dataset.attrs)
        known = self.with_columns_of(dataset)
        known._check_names(dataset)
        for name, variable in (*known.variables.items(), *known.coords.items()):
            if name in dataset.variables:
                array = dataset[name]
                known.check_array(name, variable, tuple(map(str, array.dims)), array.dtype)

    def columns_of(self, dataset: xr.Dataset) -> xr.Dataset:
        """Return the columns that a user attached to a dataset, coordinates and variables."""
        own = {*self.variables, *self.coords} if self.takes_columns else set(dataset.variables)
        return dataset.drop_vars([n for n, v in dataset.variables.items() if n in own or v.dims != (self.unit_dim,)])

    def with_columns_of(self, dataset: xr.Dataset) -> "Schema":
        """Return a schema that has the columns that a user attached to a dataset beside its own.

        Raises
        ------
        InputError
            A column holds something else than numbers, truth values or text, has an attribute that is no JSON value, or
            a name that cannot be that of a folder.
        """
        columns = self.columns_of(dataset)
        declared = {str(name): self._column(str(name), array) for name, array in columns.variables.items()}
        coords = {name: column for name, column in declared.items() if name in columns.coords}
        variables = {name: column for name, column in declared.items() if name not in coords}
        return replace(self, coords={**self.coords, **coords}, variables={**self.variables, **variables})

    def _column(self, name: str, array: xr.Variable) -> UserColumn:
        where = f"{self.name} dataset: column {name!r}"
        # An array is the folder of its name, in the store and nowhere else.
        if name != Path(name).name or name in ("", "..", "zarr.json"):
            raise InputError(f"{where}; expected the plain name of a folder")
        is_text = array.dtype.kind in "UT" or (
            array.dtype.kind == "O" and all(isinstance(v, str) for v in array.values)
        )
        if not is_text and (array.dtype.kind not in "biuf" or array.dtype.itemsize > 8):
            raise InputError(f"{where} is {array.dtype}; expected numbers, truth values or text")
        attributes = {str(k): v.item() if isinstance(v, np.generic) else v for k, v in array.attrs.items()}
        if odd := [k for k, v in attributes.items() if not isinstance(v, str | float | int | None)]:
            raise InputError(f"{where}: attribute {odd[0]!r} is {attributes[odd[0]]!r}; expected text or a number")
        # With its byte order.
        dtype = "str" if is_text else array.dtype.str
        return UserColumn((self.unit_dim,), dtype, "", "", required=False, attributes=attributes)

    def check_attributes(self, attributes: Mapping[str, object]) -> None:
        """Check the names of the attributes, and the schema's own name and version.

        Raises
        ------
        InputError
            An attribute is missing, or the dataset is of another schema or version.
        """
        required = [name for name, attribute in self.attributes.items() if attribute.required]
        for name in required:
            if name not in attributes:
                raise InputError(f"{self.name} dataset: attribute {name!r} is missing; expected {', '.join(required)}")
        found = (attributes["schema"], attributes["schema_version"])
        if found != (self.name, self.version):
            raise InputError(
                f"dataset has schema {found[0]} version {found[1]}; expected {self.name} version {self.version}"
            )

    def check_types(self, attributes: Mapping[str, object]) -> None:
        """Check the types of the attributes; a store that is written follows them, those of old may not.

        Raises
        ------
        InputError
            An attribute has another type.
        """
        for name, value in attributes.items():
            attribute = self.attributes.get(name)
            if attribute is not None and not attribute.accepts(value):
                kind = f"a {attribute.kind}" + " or None" * attribute.unknown
                raise InputError(f"{self.name} dataset: attribute {name!r} is {value!r}; expected {kind}")

    def attribute(self, dataset: xr.Dataset, name: str) -> Any:
        """Return an attribute of a dataset, its default where an optional one is absent."""
        declared = self.attributes[name]
        return dataset.attrs[name] if declared.required else dataset.attrs.get(name, declared.default)

    def renamed(self, dataset: xr.Dataset, where: str) -> xr.Dataset:
        """Return a dataset with today's names of what a store of the last release calls otherwise, with a warning.

        Parameters
        ----------
        dataset
            From a store.
        where
            The store, for the warning.
        """
        old = {v.formerly: name for name, v in self.variables.items() if v.formerly in dataset.variables}
        if not old:
            return dataset
        names = ", ".join(f"{before!r} is now {now!r}" for before, now in old.items())
        warnings.warn(f"{where}: {names}; the next release does not read it", DeprecationWarning, stacklevel=3)
        return dataset.rename(old)

    def described(self, dataset: xr.Dataset) -> xr.Dataset:
        """Return a dataset whose variables and coordinates say what they are, in which units, and where pixels are.

        Stores carry the same; see `implied_coordinates` for what is added.
        """
        implied = implied_coordinates(self, dataset.sizes, dataset.attrs)
        # Of plain arrays xarray asks whether they are Dask's, which imports Dask: half a second.
        missing = {
            name: xr.Variable((name,), pd.Index(values), fastpath=True)
            for name, values in implied.items()
            if name not in dataset.coords
        }
        # A copy has attributes of its own.
        dataset = dataset.assign_coords(missing).copy()
        for name, variable in (*self.variables.items(), *self.coords.items()):
            if name in dataset.variables:
                dataset.variables[name].attrs.update(variable.description)
        return dataset

    def check_array(self, name: str, variable: Variable, dims: tuple[str, ...], dtype: np.dtype) -> None:
        """Check dimensions and type of one array.

        Raises
        ------
        InputError
            The dimensions are not the declared ones, or the type is another.
        """
        if dims != variable.dims_among(dims):
            raise InputError(
                f"{self.name} dataset: {name!r} has dimensions {dims}; expected {variable.dims}"
                + (f", without {variable.optional_dims} if absent" * bool(variable.optional_dims))
            )
        # Text has a type of NumPy for each length, another for any length, and pandas has more.
        if dtype.kind not in "UTO" if variable.dtype == "str" else dtype != np.dtype(variable.dtype):
            raise InputError(f"{self.name} dataset: {name!r} is {dtype}; expected {variable.dtype}")

    def _check_names(self, dataset: xr.Dataset) -> None:
        present = {"variable": dataset.data_vars, "coordinate": dataset.coords}
        declared = {"variable": self.variables, "coordinate": self.coords}
        for kind, arrays in present.items():
            unknown = sorted(map(str, set(arrays) - set(declared[kind])))
            missing = [n for n, v in declared[kind].items() if v.required and n not in arrays]
            if unknown or missing:
                what = f"{missing[0]!r} is missing" if missing else f"{unknown[0]!r} is unknown"
                raise InputError(f"{self.name} dataset: {kind} {what}; expected {', '.join(declared[kind])}")


def implied_coordinates(
    schema: Schema, sizes: Mapping[Any, int], attributes: Mapping[Any, Any]
) -> dict[str, npt.NDArray[Any]]:
    """Return the coordinates that follow from the attributes: places of the pixels of maps, names of parameters.

    Parameters
    ----------
    schema
        What the dataset is; only some have such coordinates.
    sizes
        Lengths of the dimensions.
    attributes
        Their ``pixel_scale`` is the unit of ``x`` and ``y``; ``parameters`` are the names along ``parameter``.

    Returns
    -------
    dict
        ``x`` and ``y``, the distances of the centres of pixels from that of the field, in the unit of the pixel scale,
        growing to the right and upwards; ``parameter``, text; nothing for other datasets.
    """
    found: dict[str, npt.NDArray[Any]] = {}
    parameters = attributes.get("parameters")
    if "parameter" in schema.coords and isinstance(parameters, list | tuple):
        found["parameter"] = np.array(parameters, dtype=str)
    scale = attributes.get("pixel_scale")
    # What is no pixel scale is refused, in its own words, by who works with the maps.
    if _is_number(scale) and scale > 0:
        names = [name for name in ("y", "x") if name in schema.coords and name in sizes]
        found |= {name: coordinates(sizes[name], float(scale)) for name in names}
    return found
