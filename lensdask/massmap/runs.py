"""Resumable runs over a cluster: simulate a store of shear maps, reconstruct the mass maps of a store.

Each is a chunk function of `lensdask.compute.run` with the configuration that decides its result.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from lensdask.arrays import index_like, to_numpy
from lensdask.compute import RunOptions, RunResult, Sums, Table, loaded, write_store
from lensdask.data import MASS_MAPS, SHEAR_MAPS, Schema, common_attributes, file_sha256
from lensdask.data import open as open_store
from lensdask.errors import InputError
from lensdask.maps.fields import ShearMaps, shear_maps
from lensdask.maps.mock import NoiseModel, galaxy_counts, observe
from lensdask.massmap.conditions import warn_of_conditions
from lensdask.massmap.method import Method, method_for
from lensdask.massmap.products import Products, method_settings, reconstruct_maps
from lensdask.massmap.reconstruction import mass_attributes, observed_settings
from lensdask.sky.simulate import Sky, SkyConfig, check_sky, halo_slots, simulate_sky

__all__ = ["open_maps", "reconstruct_run", "simulate_run"]

_HALOES = ("halo_mass", "halo_redshift", "halo_x", "halo_y")


def open_maps(path: Path, schema: Schema) -> xr.Dataset:
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


def simulate_chunk(start: int, stop: int, config: Mapping[str, Any], device: str) -> tuple[Table, Sums | None]:
    """Chunk function that simulates fields and what galaxies show of them."""
    ids, seed = np.arange(start, stop, dtype=np.int64), config["seed"]
    settings, noise = SkyConfig(**config["sky"]), _noise_model(config["noise"])
    sky = simulate_sky(ids, settings, seed, device)
    maps = observe(index_like(ids, sky.g1), sky.g1, sky.g2, noise, settings.pixel_scale, seed)
    shape = (settings.size, settings.size)
    counts = [galaxy_counts(int(i), shape, noise, settings.pixel_scale, seed) for i in ids]
    columns = {**maps._asdict(), "kappa": sky.kappa, "count": np.stack(counts)}
    table = {name: to_numpy(array).astype(np.float32) for name, array in columns.items()}
    return table | {"mask": to_numpy(maps.mask).astype(np.int8)} | _halo_columns(sky), None


def _halo_columns(sky: Sky) -> Table:
    return {} if sky.haloes is None else dict(zip(_HALOES, sky.haloes, strict=True))


def _noise_model(settings: Mapping[str, Any]) -> NoiseModel:
    """Return the noise of a configuration; its footprint must be what it was when the run began."""
    wanted, path = settings["footprint_hash"], settings["footprint"]
    if path is not None and file_sha256(path) != wanted:
        raise InputError(f"{path}: changed since the run began; expected the same footprint")
    return NoiseModel(**{name: value for name, value in settings.items() if name != "footprint_hash"})


def simulation_settings(sky: SkyConfig, noise: NoiseModel, seed: int) -> dict[str, Any]:
    """Return the configuration of a simulation, plain JSON."""
    if not 0 <= seed < 2**63:
        raise InputError(f"seed: {seed}; expected a whole number from 0 to 2^63")
    check_sky(sky)
    checksum = None
    if noise.footprint is not None:
        checksum = file_sha256(noise.footprint)
        # Workers may run in another directory than this process.
        noise = replace(noise, footprint=str(Path(noise.footprint).resolve()))
    return {"sky": asdict(sky), "noise": asdict(noise) | {"footprint_hash": checksum}, "seed": seed}


def _simulation_template(fields: int, sky: SkyConfig, noise: NoiseModel, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `lensdask.data.create` for a store of simulated shear maps."""
    has_haloes = sky.generator == "halo"
    sizes = {"field": fields, "y": sky.size, "x": sky.size} | ({"halo": halo_slots(sky)} if has_haloes else {})
    attributes = common_attributes(SHEAR_MAPS, config) | {
        "pixel_scale": sky.pixel_scale,
        "density": noise.density,
        "sigma_e": noise.sigma_e,
        "source": sky.source,
        "resolution": sky.resolution,
        "seed": config["seed"],
    }
    optional = ("kappa", *(_HALOES if has_haloes else ()))
    return {"sizes": sizes, "coords": {"field": range(fields)}, "attributes": attributes, "optional": optional}


def simulate_run(
    path: Path,
    *,
    fields: int,
    sky: SkyConfig | None = None,
    noise: NoiseModel | None = None,
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
    noise
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
    sky, noise = sky or SkyConfig(), noise or NoiseModel()
    config = simulation_settings(sky, noise, seed)
    return write_store(
        simulate_chunk,
        config,
        SHEAR_MAPS,
        path,
        _simulation_template(fields, sky, noise, config),
        size=fields,
        chunk=chunk,
        label="simulate",
        unit="fields",
        options=options,
    )


def reconstruct_chunk(start: int, stop: int, config: Mapping[str, Any], device: str) -> tuple[Table, Sums | None]:
    """Chunk function that makes the mass maps of a chunk of a store of shear maps."""
    maps = loaded(config["maps"], config["maps_hash"], slice(start, stop), ShearMaps._fields)
    made = reconstruct_maps(
        shear_maps(maps),
        Method(**config["method"]),
        products=Products(**config["products"]),
        ids=maps["field"].values,
        seed=config["seed"],
        device=device,
        **observed_settings(maps),
    )
    return {"mask": maps["mask"].values, **made}, None


def reconstruct_run(
    maps_path: Path,
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
        Store of shear maps.
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
    if path.resolve() == maps_path.resolve():
        raise InputError(f"{path}: both the shear maps and the mass maps to write; expected two stores")
    chosen, products = method_for(maps, method, symmetrised=symmetrised, warn=warn), products or Products()
    config = {
        "maps": str(maps_path.resolve()),
        "maps_hash": maps.attrs["configuration_hash"],
        **method_settings(chosen, products, seed),
    }
    template = {
        "sizes": {dim: maps.sizes[dim] for dim in ("field", "y", "x")},
        "coords": {name: maps[name].values for name in ("field", "ra", "dec") if name in maps.coords},
        "attributes": mass_attributes(maps, chosen, config),
        "optional": products.names,
    }
    return write_store(
        reconstruct_chunk,
        config,
        MASS_MAPS,
        path,
        template,
        size=maps.sizes["field"],
        chunk=maps.chunksizes["field"][0],
        label=f"reconstruct {chosen.label}",
        unit="fields",
        options=options,
    )
