"""Resumable runs over a cluster: simulate a store of shear maps, reconstruct the mass maps of a store."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import xarray as xr

from lensdask.compute import Chunks, NewStore, RunOptions, RunResult, refer_to, run
from lensdask.data import MASS_MAPS, SHEAR_MAPS, Schema, file_sha256
from lensdask.data import open as open_store
from lensdask.data.template import coordinate_values
from lensdask.errors import InputError
from lensdask.maps.mock import Survey
from lensdask.massmap.conditions import warn_of_conditions
from lensdask.massmap.method import method_for
from lensdask.massmap.products import Products
from lensdask.massmap.reconstruction import mass_attributes
from lensdask.massmap.tasks import HALO_COLUMNS, ReconstructFields, SimulateFields
from lensdask.places import PathLike, refuse_same
from lensdask.sky.simulate import SkyConfig, halo_slots

__all__ = ["open_maps", "reconstruct_run", "simulate_run"]


def open_maps(path: PathLike, schema: Schema) -> xr.Dataset:
    """Open a store that must be of a certain schema.

    Raises
    ------
    InputError
        It is no store, or one of something else.
    """
    maps = open_store(path)
    if maps.attrs["schema"] != schema.name:
        raise InputError(f"{path}: a store of {maps.attrs['schema']}; expected one of {schema.name}")
    return maps


def simulate_run(
    path: Path,
    *,
    fields: int,
    sky: SkyConfig | None = None,
    survey: Survey | None = None,
    seed: int = 0,
    chunk: int = SHEAR_MAPS.chunk,
    options: RunOptions | None = None,
) -> RunResult:
    """Simulate a store of fields: the true convergence, and the shear that galaxies show.

    Parameters
    ----------
    path
        Store to write, schema ``shear_maps``.
    fields
        Number of fields; their ids are 0, 1, ..., which no training of the package's networks uses.
    sky
        Which sky.
    survey
        Galaxies, their noise, and what is masked.
    seed
        Of sky, galaxies and masks.
    chunk
        Fields per task and per chunk of the store; does not change the fields.
    options
        Cluster, device, resumption.

    Raises
    ------
    InputError
        The output exists, the footprint cannot be read, or a number makes no sense.
    """
    sky, survey, checksum = sky or SkyConfig(), survey or Survey(), None
    if survey.footprint is not None:
        checksum = file_sha256(Path(survey.footprint))
        # Workers may run in another directory than this process.
        survey = replace(survey, footprint=str(Path(survey.footprint).resolve()))
    task = SimulateFields(sky, survey, checksum, seed)
    return run(task, Chunks(fields, chunk, "fields"), _fields_store(path, task, fields), options, label="simulate")


def _fields_store(path: Path, task: SimulateFields, fields: int) -> NewStore:
    """Return the store of simulated shear maps to write."""
    sky, survey, has_haloes = task.sky, task.survey, task.sky.generator == "halo"
    sizes = {"field": fields, "y": sky.size, "x": sky.size} | ({"halo": halo_slots(sky)} if has_haloes else {})
    attributes = {
        "pixel_scale": sky.pixel_scale,
        "density": survey.density,
        "sigma_e": survey.sigma_e,
        "source": sky.source,
        "resolution": sky.resolution,
        "seed": task.seed,
    }
    optional = ("kappa", *(HALO_COLUMNS if has_haloes else ()))
    return NewStore(path, SHEAR_MAPS, sizes, {"field": range(fields)}, attributes, optional=optional)


def reconstruct_run(
    maps_path: PathLike,
    path: Path,
    *,
    method: str | Path = "wiener",
    products: Products | None = None,
    symmetrised: bool = False,
    seed: int = 0,
    options: RunOptions | None = None,
    warn: Callable[[str], None] = warn_of_conditions,
) -> RunResult:
    """Reconstruct the mass maps of a store of shear maps into another store.

    Parameters
    ----------
    maps_path
        Store of shear maps, or its URL.
    path
        Store to write, schema ``mass_maps``.
    method
        As for `lensdask.massmap.find_method`.
    products
        What is made beside the convergence.
    symmetrised
        Whether maps are the mean over the eight turns and mirrors of the field.
    seed
        Of the random turns from which the noise of ``significance`` is taken.
    options
        Cluster, device, resumption.
    warn
        Called with one line if the method is for other maps than these, see `lensdask.massmap.method.method_for`; by
        default a Python warning.

    Raises
    ------
    InputError
        The input is no store of shear maps or cannot be inverted, the output exists, or the method is unknown.
    """
    maps = open_maps(maps_path, SHEAR_MAPS)
    refuse_same(path, maps_path)
    chosen, products = method_for(maps, method, symmetrised=symmetrised, warn=warn), products or Products()
    task = ReconstructFields(refer_to(maps_path, maps), chosen, products, seed)
    store = NewStore(
        path,
        MASS_MAPS,
        sizes={dim: maps.sizes[dim] for dim in ("field", "y", "x")},
        coords={
            name: coordinate_values(maps[name]) for name in ("field", "ra", "dec", "y", "x") if name in maps.coords
        },
        attributes=mass_attributes(maps, chosen),
        optional=products.names,
        measured=("kappa",),
    )
    chunks = Chunks(maps.sizes["field"], maps.chunksizes["field"][0], "fields")
    return run(task, chunks, store, options, label=f"reconstruct {chosen.label}")
