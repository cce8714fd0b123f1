"""The peaks of mass maps as a table for the user, with their places on the sky."""

from itertools import pairwise

import numpy as np
import xarray as xr

from lensdask.data import MASS_MAPS
from lensdask.errors import InputError
from lensdask.maps.fields import checked_pixel_scale
from lensdask.maps.statistics.peaks import find_peaks
from lensdask.maps.tangent import sky_position

__all__ = ["list_peaks"]

_UNITS = {"x": "arcmin", "y": "arcmin", "kappa": "1", "significance": "1", "ra": "deg", "dec": "deg"}


def list_peaks(maps: xr.Dataset, threshold: float = -np.inf) -> xr.Dataset:
    """Return the local maxima of mass maps, the highest first.

    They are those of the signal to noise where the dataset has it, of the convergence where it does not; see
    `lensdask.maps.statistics.peaks.find_peaks`. Lazy maps are computed a chunk of fields at a time. Where fields
    overlap, as those of `tile_catalogue` do, a peak is listed once for each.

    Parameters
    ----------
    maps
        Dataset of the schema ``mass_maps``: `reconstruct`, or `lensdask.open` of a store.
    threshold
        Least height, as signal to noise or as convergence.

    Returns
    -------
    Dataset
        With the dimension ``peak``, to the next pixel: ``field``, the id of the map; ``x`` to the right and ``y``
        upwards from the centre of the map, arcmin; ``kappa``, and ``significance`` where it is known; ``ra`` and
        ``dec``, degrees, if the dataset has the centres of the fields. ``to_dataframe()`` makes a table of it.

    Raises
    ------
    InputError
        The dataset is of another schema, not finite inside its mask, or its pixels are not square.
    """
    MASS_MAPS.validate(maps)
    checked_pixel_scale(maps.attrs["pixel_scale"])
    maps = MASS_MAPS.described(maps)
    bounds = np.cumsum([0, *maps["kappa"].chunksizes.get("field", (maps.sizes["field"],))])
    parts = [_peaks_of(maps.isel(field=slice(*pair)), threshold) for pair in pairwise(bounds)]
    listed = xr.concat(parts, "peak")
    height = "significance" if "significance" in listed else "kappa"
    order = np.argsort(-listed[height].values, kind="stable")
    return listed.isel(peak=order).assign_attrs(pixel_scale=maps.attrs["pixel_scale"], method=maps.attrs["method"])


def _peaks_of(maps: xr.Dataset, threshold: float) -> xr.Dataset:
    """Return the peaks of some fields, field after field."""
    names = [name for name in ("kappa", "significance") if name in maps]
    known = maps[[*names, "mask"]].compute()
    for name in names:
        _refuse_unfinished(known, name)
    peaks = find_peaks(known[names[-1]].values, threshold, known["mask"].values)
    pixel = {"field": peaks.field, "y": peaks.y.astype(np.int64), "x": peaks.x.astype(np.int64)}
    at = known.isel({dim: ("peak", index) for dim, index in pixel.items()})
    columns = {name: at[name].values for name in ("field", "x", "y", *names)}
    if "ra" in maps.coords and "dec" in maps.coords:
        columns["ra"], columns["dec"] = sky_position(columns["x"], columns["y"], (at["ra"].values, at["dec"].values))
    return xr.Dataset({name: ("peak", values, _attributes(name)) for name, values in columns.items()})


def _attributes(name: str) -> dict[str, str]:
    return {"units": _UNITS[name]} if name in _UNITS else {}


def _refuse_unfinished(maps: xr.Dataset, name: str) -> None:
    broken = ((maps["mask"].values != 0) & ~np.isfinite(maps[name].values)).any(axis=(1, 2))
    if broken.any():
        raise InputError(
            f"mass maps: {name} of field {maps['field'].values[np.argmax(broken)]} is not finite inside the mask; "
            "expected a finished reconstruction"
        )
