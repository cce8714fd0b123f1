"""What each dataset holds: names, dimensions, types, units, attributes and chunks.

A schema is the law for its datasets. The template on disk, the checks of the writer and the checks
at opening all read it, so a variable is described in this file and nowhere else.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from lensdask.errors import InputError

__all__ = ["MASS_MAPS", "SCHEMAS", "SHAPES", "SHEAR_MAPS", "STAMPS", "Schema", "Variable"]


@dataclass(frozen=True)
class Variable:
    """One array of a dataset.

    Parameters
    ----------
    dims
        Names of the dimensions, in order.
    dtype
        NumPy name of the type.
    units
        Units, "1" where there are none.
    meaning
        One phrase for the reader of a dataset.
    optional_dims
        Dimensions a dataset may lack: real data has no ``shear``.
    required
        Whether every dataset has the variable.
    """

    dims: tuple[str, ...]
    dtype: str
    units: str
    meaning: str
    optional_dims: tuple[str, ...] = ()
    required: bool = True

    def dims_among(self, present: Collection[str]) -> tuple[str, ...]:
        """Return the dimensions, without the optional ones that are not in `present`."""
        return tuple(d for d in self.dims if d in present or d not in self.optional_dims)


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
        Names of the attributes every dataset carries.
    unit_dim
        Dimension along which chunks are cut.
    chunk
        Default number of elements of `unit_dim` in a chunk.
    compressor
        Name of the Blosc compressor; bytes are shuffled first.
    """

    name: str
    version: int
    variables: Mapping[str, Variable]
    coords: Mapping[str, Variable]
    attributes: tuple[str, ...]
    unit_dim: str
    chunk: int
    compressor: Literal["lz4", "zstd"] = "lz4"

    def validate(self, dataset: xr.Dataset) -> None:
        """Check that a dataset is what the schema says; values are not looked at.

        Raises
        ------
        InputError
            One line: what is wrong, in which variable, and what was expected.
        """
        self.check_attributes(dataset.attrs)
        self._check_names(dataset)
        for name, variable in (*self.variables.items(), *self.coords.items()):
            if name in dataset.variables:
                array = dataset[name]
                self.check_array(name, variable, tuple(map(str, array.dims)), array.dtype)

    def check_attributes(self, attributes: Mapping[str, object]) -> None:
        """Check the names of the attributes, and the schema's own name and version.

        Raises
        ------
        InputError
            An attribute is missing, or the dataset is of another schema or version.
        """
        for name in self.attributes:
            if name not in attributes:
                raise InputError(
                    f"{self.name} dataset: attribute {name!r} is missing; expected {', '.join(self.attributes)}"
                )
        found = (attributes["schema"], attributes["schema_version"])
        if found != (self.name, self.version):
            raise InputError(
                f"dataset has schema {found[0]} version {found[1]}; expected {self.name} version {self.version}"
            )

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
        if dtype != np.dtype(variable.dtype):
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


_COMMON = ("schema", "schema_version", "code_version", "configuration_hash")

_GALAXY_COORDS = {
    "galaxy": Variable(("galaxy",), "int64", "1", "id of the galaxy"),
    "g1": Variable(("shear",), "float64", "1", "applied reduced shear, first component", ("shear",), False),
    "g2": Variable(("shear",), "float64", "1", "applied reduced shear, second component", ("shear",), False),
}

STAMPS = Schema(
    name="stamps",
    version=1,
    variables={
        "image": Variable(
            ("galaxy", "shear", "y", "x"),
            "float32",
            "3.631 nJy",
            "image of one galaxy, origin at the centre of the stamp",
            ("shear",),
        ),
        "psf": Variable(
            ("galaxy", "psf_number", "y", "x"),
            "float64",
            "1",
            "point-spread function on the same pixels, of unit sum; one for all, one per galaxy, or those of psf_index",
            ("galaxy", "psf_number"),
        ),
        "noise_correlation": Variable(
            ("lag_y", "lag_x"),
            "float64",
            "1",
            "correlation function of the noise, lag (0, 0) first and negative lags last; white noise without it",
            required=False,
        ),
    },
    coords=_GALAXY_COORDS
    | {"psf_index": Variable(("galaxy",), "int64", "1", "which of the point-spread functions", required=False)},
    # pixel_scale in arcsec, noise_sigma in units of the image, seed null for real data.
    attributes=(*_COMMON, "pixel_scale", "noise_sigma", "seed", "origin"),
    unit_dim="galaxy",
    chunk=1024,
)
"""Postage stamps of galaxies, simulated at one or more shears or real."""


def _per_galaxy(units: str, meaning: str) -> Variable:
    return Variable(("galaxy", "shear"), "float32", units, meaning, ("shear",))


SHAPES = Schema(
    name="shapes",
    version=1,
    variables={
        "e1": _per_galaxy("1", "ellipticity, first component"),
        "e2": _per_galaxy("1", "ellipticity, second component"),
        "de1_dg1": _per_galaxy("1", "response of e1 to g1"),
        "de1_dg2": _per_galaxy("1", "response of e1 to g2"),
        "de2_dg1": _per_galaxy("1", "response of e2 to g1"),
        "de2_dg2": _per_galaxy("1", "response of e2 to g2"),
        "flux": _per_galaxy("3.631 nJy", "flux, the selection variable"),
        "dflux_dg1": _per_galaxy("3.631 nJy", "response of the flux to g1"),
        "dflux_dg2": _per_galaxy("3.631 nJy", "response of the flux to g2"),
        "weight": _per_galaxy("1", "weight of the galaxy in averages"),
    },
    coords=_GALAXY_COORDS,
    attributes=(*_COMMON, "estimator"),
    unit_dim="galaxy",
    chunk=16384,
)
"""Shapes measured on stamps, with their responses to shear."""


def _per_pixel(meaning: str, dtype: str = "float32", units: str = "1", *, required: bool = True) -> Variable:
    return Variable(("field", "y", "x"), dtype, units, meaning, required=required)


def _per_halo(units: str, meaning: str) -> Variable:
    return Variable(("field", "halo"), "float64", units, f"{meaning}; NaN where a field has fewer haloes", (), False)


_FIELD_COORDS = {
    "field": Variable(("field",), "int64", "1", "id of the field"),
    "ra": Variable(("field",), "float64", "deg", "right ascension of the centre", (), False),
    "dec": Variable(("field",), "float64", "deg", "declination of the centre", (), False),
}

SHEAR_MAPS = Schema(
    name="shear_maps",
    version=1,
    variables={
        "g1": _per_pixel("mean reduced shear, first component, along x; 0 where there is no galaxy"),
        "g2": _per_pixel("mean reduced shear, second component; 0 where there is no galaxy"),
        "weight": _per_pixel("inverse variance of each component; 0 where there is no galaxy"),
        "error": _per_pixel("mean measurement error of the shapes of the galaxies, per component"),
        "count": _per_pixel("number of galaxies"),
        "mask": _per_pixel("1 inside of the footprint, 0 outside", "int8"),
        "kappa": _per_pixel("true convergence, where it is known", required=False),
        "halo_mass": _per_halo("Msun", "mass of a halo in front of the sources"),
        "halo_redshift": _per_halo("1", "redshift of a halo"),
        "halo_x": _per_halo("arcmin", "position of a halo along x from the centre of the field"),
        "halo_y": _per_halo("arcmin", "position of a halo along y from the centre of the field"),
    },
    coords=_FIELD_COORDS,
    # pixel_scale in arcmin, density per arcmin², sigma_e per component, source as in lensdask.sky; null if unknown.
    attributes=(*_COMMON, "pixel_scale", "density", "sigma_e", "source", "seed"),
    unit_dim="field",
    chunk=4,
)
"""Shear catalogues binned on square pixels, fields side by side; with the truth where it is simulated."""

MASS_MAPS = Schema(
    name="mass_maps",
    version=1,
    variables={
        "kappa": _per_pixel("convergence, E mode"),
        "mask": _per_pixel("1 inside of the footprint, 0 outside", "int8"),
        "kappa_b": _per_pixel("B mode, which lensing does not make", required=False),
        "significance": _per_pixel("convergence over its noise", required=False),
        "n_eff": _per_pixel("effective number of galaxies per area", units="arcmin-2", required=False),
    },
    coords=_FIELD_COORDS,
    attributes=(*_COMMON, "pixel_scale", "method"),
    unit_dim="field",
    chunk=4,
)
"""Convergence maps reconstructed from shear maps."""

SCHEMAS: Mapping[str, Schema] = {schema.name: schema for schema in (STAMPS, SHAPES, SHEAR_MAPS, MASS_MAPS)}
"""The schemas that `lensdask.open` knows, by name."""
