"""Mass maps of a dataset of shear maps, lazily if it is lazy: the door for notebooks.

`lensdask.massmap.runs.reconstruct_run` is the other door to the same maps, for more fields than one sitting.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.compute import choose_device, settings_of
from lensdask.data import MASS_MAPS, SHEAR_MAPS, common_attributes, load_card
from lensdask.errors import check_seed
from lensdask.maps.fields import ShearMaps
from lensdask.massmap.method import Method, method_for
from lensdask.massmap.products import Products, reconstruct_maps

__all__ = ["mass_attributes", "observed_settings", "reconstruct"]


def reconstruct(
    maps: xr.Dataset,
    method: str | Path = "wiener",
    *,
    b_mode: bool = False,
    noise_realisations: int = 0,
    n_eff: bool = False,
    symmetrised: bool = False,
    seed: int = 0,
    device: str = "auto",
    significance: int | None = None,
) -> xr.Dataset:
    """Reconstruct the convergence of shear maps; lazily if they are lazy.

    Parameters
    ----------
    maps
        Dataset of the schema ``shear_maps``: `lensdask.massmap.bin_catalogue`, or `lensdask.open` of a store.
    method
        As for `lensdask.massmap.find_method`; ``wiener`` takes from the dataset what galaxies they are, if it knows.
    b_mode, noise_realisations, n_eff
        What is made beside the convergence, see `lensdask.massmap.Products`.
    symmetrised
        Whether maps are the mean over the eight turns and mirrors of the field.
    seed
        Of the random turns from which the noise of ``significance`` is taken.
    device
        "auto", "cpu" or "cuda".
    significance
        What `noise_realisations` was called once.

    Returns
    -------
    Dataset
        Of the schema ``mass_maps``.

    Raises
    ------
    InputError
        The method or the dataset is not acceptable.

    Warns
    -----
    ConditionsWarning
        A network was trained for other noise, galaxies or masks than those of the maps, or the Wiener filter is told to
        expect other galaxies.
    """
    if significance is not None:
        message = "significance is now noise_realisations; the old name goes with the next release"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        noise_realisations = significance
    SHEAR_MAPS.validate(maps)
    chosen = method_for(maps, method, symmetrised=symmetrised)
    products = Products(b_mode, noise_realisations, n_eff)
    check_seed(seed)
    made_of = {"maps": maps.attrs["configuration_hash"], "seed": seed}
    settings = made_of | {"method": settings_of(chosen), "products": settings_of(products)}
    packed = _packed_maps(maps, chosen, products, seed, device)
    made = {name: packed.isel(product=i) for i, name in enumerate(("kappa", *products.names))}
    attributes = common_attributes(MASS_MAPS, settings) | mass_attributes(maps, chosen)
    return MASS_MAPS.described(xr.Dataset(made | {"mask": maps["mask"]}).assign_attrs(attributes))


def mass_attributes(maps: xr.Dataset, method: Method) -> dict[str, Any]:
    """Return the attributes of the mass maps that a method makes of shear maps, beside the common ones."""
    settings = {"pixel_scale": maps.attrs["pixel_scale"], "method": method.label}
    # Fields of another simulation have the same ids: this tells whose they are.
    settings["maps_hash"] = maps.attrs["configuration_hash"]
    if method.kind == "network":
        settings["trained_on"] = _trained_on(load_card(method.weights))
    return settings


def _trained_on(card: Mapping[str, Any]) -> list[str]:
    """Return the configurations of the stores from which a network learned, in all parts of its training.

    Fields that were made for it are in no store of a user.
    """
    earlier = card.get("started_from")
    own = (card.get("data") or {}).get("configuration_hash")
    return ([] if own is None else [own]) + (_trained_on(earlier) if earlier else [])


def observed_settings(maps: xr.Dataset) -> dict[str, Any]:
    """Return what `reconstruct_maps` must know of a dataset of shear maps beside its arrays."""
    sigma_e = maps.attrs["sigma_e"]
    return {
        "pixel_scale": float(maps.attrs["pixel_scale"]),
        "sigma_e": None if sigma_e is None else float(sigma_e),
    }


def _packed_maps(maps: xr.Dataset, method: Method, products: Products, seed: int, device: str) -> xr.DataArray:
    """Return all maps in one array: with one output for each Dask would make every field once per map."""
    options = {"method": method, "products": products, "seed": seed, "device": device, **observed_settings(maps)}
    fields = ShearMaps._fields
    packed: xr.DataArray = xr.apply_ufunc(
        _reconstruct_block,
        *(_whole_fields(maps[name]) for name in fields),
        # apply_ufunc takes ids as data, not as the index that they are in the dataset.
        maps["field"].copy(),
        kwargs=options,
        input_core_dims=[*[["y", "x"]] * len(fields), []],
        output_core_dims=[["product", "y", "x"]],
        dask="parallelized",
        output_dtypes=[np.float32],
        dask_gufunc_kwargs={"output_sizes": {"product": 1 + len(products.names)}},
    )
    return packed


def _whole_fields(array: xr.DataArray) -> xr.DataArray:
    """Return a lazy array in chunks that do not cut fields."""
    return array if array.chunks is None else array.chunk({"y": -1, "x": -1})


def _reconstruct_block(*arrays: npt.NDArray[Any], device: str, **options: Any) -> npt.NDArray[np.float32]:
    *parts, ids = arrays
    # "auto" is settled where the block is reconstructed, which may be another machine.
    made = reconstruct_maps(ShearMaps(*parts), ids=ids, device=choose_device(device), **options)
    return np.stack(list(made.values()), axis=1)
