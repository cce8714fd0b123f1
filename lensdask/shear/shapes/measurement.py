"""Measure stamps: ellipticity, flux and their shear responses, lazily or as part of a task.

Ellipticities come from the chosen estimator, the flux always from FPFS with its default settings, whose response is
known in closed form: one cut on the flux selects the same galaxies whatever the estimator.

Stamps are measured in parts of some galaxies. A part is moved to the device once, where renoise, resmoothing, network
and response follow each other in batches of one size, and its table comes back once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr

from lensdask.arrays import Array, held_on, to_numpy, to_torch
from lensdask.compute import batches_that_fit, choose_device, torch_settings
from lensdask.data import SHAPES, STAMPS, common_attributes
from lensdask.errors import InputError
from lensdask.shear.imaging import Imaging, imaging_of_stamps
from lensdask.shear.noise import draw_renoise
from lensdask.shear.pixels import check_pixels
from lensdask.shear.shapes.columns import Columns, check_width, fpfs_columns, place_columns, shape_columns
from lensdask.shear.shapes.estimator import Estimator, find_estimator
from lensdask.shear.shapes.fpfs import FPFS

__all__ = ["COLUMNS", "PART", "check_places", "measure", "measure_parts", "measure_stamps", "travelling_columns"]

Float64 = npt.NDArray[np.float64]
COLUMNS = tuple(SHAPES.variables)
"""Columns of a table of shapes, in order."""

BATCH = {"cpu": 64, "cuda": 256}
"""Stamps per call of an estimator; a guess for GPUs, not yet measured."""

PART = {"cpu": 64, "cuda": 1024}
"""Galaxies that are simulated and measured together: of a chunk, no more are in memory as stamps. A guess for GPUs."""


def measure_stamps(
    images: Array,
    ids: npt.NDArray[np.int64],
    imaging: Imaging,
    chosen: Estimator,
    *,
    seed: int,
    device: str = "cpu",
) -> Float64:
    """Measure stamps that lie in memory.

    Parameters
    ----------
    images
        Observed stamps, shape (galaxy, n, n), or (galaxy, shear, n, n) with one noise realisation per galaxy; of NumPy,
        CuPy or torch.
    ids
        Galaxy ids, shape (galaxy,); they key the renoise.
    imaging
        PSF, pixel scale and noise.
    chosen
        Estimator of the ellipticity.
    seed
        Seed of the renoise.
    device
        "cpu" or "cuda".

    Returns
    -------
    Float64
        Shape (galaxy, column) or (galaxy, shear, column), columns as in `COLUMNS`.

    Raises
    ------
    InputError
        Pixels are not those of an image of the sky, see `lensdask.shear.pixels.check_pixels`.
    """
    if not len(ids):
        return np.empty((*images.shape[:-2], len(COLUMNS)))

    def checked(part: slice) -> Array:
        check_pixels(images[part], ids[part], "stamps", imaging.noise_sigma)
        return images[part]

    return measure_parts(checked, ids, imaging, [chosen], seed=seed, device=device)[0]


def measure_parts(
    draw: Callable[[slice], Array],
    ids: npt.NDArray[np.int64],
    imaging: Imaging,
    estimators: Sequence[Estimator],
    *,
    seed: int,
    device: str = "cpu",
) -> list[Float64]:
    """Measure stamps part by part with several estimators: of all galaxies, no more than the tables stay in memory.

    Parameters
    ----------
    draw
        From a slice of the galaxies to their stamps, as `measure_stamps` takes them.
    ids, imaging, seed, device
        As for `measure_stamps`; at least one galaxy.
    estimators
        Estimators of the ellipticity.

    Returns
    -------
    list of Float64
        What `measure_stamps` returns, for each estimator.
    """
    imaging, psf = _psf_of_galaxies(imaging)
    flux = fpfs_columns(imaging, FPFS(), device)
    centroids = place_columns(imaging, device) if any(e.recentre for e in estimators) else None
    shapes = [None if _is_default(e) else shape_columns(imaging, e, device) for e in estimators]
    tables = []
    with torch_settings():
        for start in range(0, len(ids), PART[device]):
            part = slice(start, start + PART[device])
            stamps = to_torch(draw(part), device)
            renoise = _renoise_of(ids, part, stamps, imaging, seed)
            batches = _batches(stamps, renoise, [p[part] for p in psf], device)
            given = _given_places(imaging, part, stamps)
            found: dict[bool, tuple[torch.Tensor, torch.Tensor]] = {}
            for recentre in {e.recentre for e in estimators}:
                places = batches(centroids, given) if centroids and recentre else given
                found[recentre] = places, batches(flux, places)
            tables.append([_table(batches, of, *found[e.recentre]) for e, of in zip(estimators, shapes, strict=True)])
    # Here, once, the host waits for the device.
    return [to_numpy(torch.cat(table)) for table in zip(*tables, strict=True)]


def _is_default(estimator: Estimator) -> bool:
    """Whether the shapes are those of the very FPFS that measures the flux."""
    return estimator.path is None and estimator.fpfs == FPFS()


def _psf_of_galaxies(imaging: Imaging) -> tuple[Imaging, list[npt.NDArray[Any]]]:
    """Return what galaxies have of their own, PSFs or their indices, and the imaging with no more than they use."""
    if imaging.psf_index is not None:
        present, index = np.unique(imaging.psf_index, return_inverse=True)
        return replace(imaging, psf=imaging.psf[present], psf_index=index), [index]
    return imaging, [imaging.psf] * (imaging.psf.ndim > 2)


def _renoise_of(
    ids: npt.NDArray[np.int64], part: slice, stamps: torch.Tensor, imaging: Imaging, seed: int
) -> torch.Tensor:
    """Return the renoise of a part of the galaxies, shape (galaxy, n, n), beside its stamps."""
    device, n = stamps.device.type, stamps.shape[-1]
    if imaging.noise_sigma == 0:
        return stamps.new_zeros(len(stamps), n, n)
    if imaging.renoise is not None:
        return to_torch(imaging.renoise[part], device)
    renoise = to_torch(draw_renoise(held_on(ids[part], device), n, imaging.noise, seed), device)
    if imaging.noise_scale is None:
        return renoise
    return renoise * to_torch(imaging.noise_scale[part], device).to(renoise.dtype)[:, None, None]


def _given_places(imaging: Imaging, part: slice, stamps: torch.Tensor) -> torch.Tensor:
    """Return the table of the places of stamps that are known, shape (galaxy, ..., 2); without columns if none are."""
    if imaging.offset is None:
        return stamps.new_zeros((*stamps.shape[:-2], 0))
    table = to_torch(imaging.offset[part] * imaging.pixel_scale, stamps.device)
    return table.reshape(len(table), *[1] * (stamps.ndim - 3), -1).expand(*stamps.shape[:-2], -1)


def _batches(
    stamps: torch.Tensor, renoise: torch.Tensor, psf: list[npt.NDArray[Any]], device: str
) -> Callable[[Columns, torch.Tensor], torch.Tensor]:
    """Return a function from places to the columns of stamps, shape (galaxy, ..., n, n), in batches of one size."""
    versions, n = stamps.shape[1:-2], stamps.shape[-1]
    count = versions.numel()
    pixels, second = stamps.reshape(-1, n, n).float(), renoise.repeat_interleave(count, 0)
    own = [_repeated(p, count, device) for p in psf]

    def columns(of: Columns, places: torch.Tensor) -> torch.Tensor:
        arrays: tuple[Array, ...] = pixels, second, places.reshape(len(pixels), -1), *own
        table: torch.Tensor = batches_that_fit(of, arrays, BATCH[device])
        return table.reshape(len(stamps), *versions, table.shape[-1])

    return columns


def _repeated(own: npt.NDArray[Any], count: int, device: str) -> Array:
    """Return what galaxies have of their own, once for each of their stamps, where it is to be used."""
    if device == "cpu" and own.ndim > 1:
        # NumPy prepares PSFs the fastest there.
        return np.repeat(own, count, axis=0)
    return to_torch(own, device).repeat_interleave(count, 0)


def _table(
    batches: Callable[[Columns, torch.Tensor], torch.Tensor],
    of: Columns | None,
    places: torch.Tensor,
    flux: torch.Tensor,
) -> torch.Tensor:
    """Return a table of shapes: six columns of the estimator, or those beside the flux; the flux; and weight 1."""
    shapes = flux if of is None else batches(of, places)
    return torch.cat([shapes[..., :6], flux[..., 6:9], torch.ones_like(flux[..., :1])], dim=-1)


def as_table(columns: Float64) -> Mapping[str, npt.NDArray[np.float32]]:
    """Return columns, shape (..., column), as named single-precision arrays."""
    return {name: np.ascontiguousarray(columns[..., i], dtype=np.float32) for i, name in enumerate(COLUMNS)}


def measure(
    stamps: xr.Dataset, estimator: str | Path = "d4cnn", *, recentre: bool = False, device: str = "auto"
) -> xr.Dataset:
    """Measure a dataset of stamps; lazily if it is lazy.

    Parameters
    ----------
    stamps
        Dataset of the stamps schema: `make_stamps`, or `lensdask.open` of a store.
    estimator
        ``d4cnn``, ``fpfs``, or the path of a network.
    recentre
        Measure each galaxy about its centroid instead of the middle of its stamp, which it is seldom in; one without
        a centroid within 1 arcsec is measured about the middle. See `lensdask.shear.shapes.centring`.
    device
        "auto", "cpu" or "cuda".

    Returns
    -------
    Dataset
        Of the shapes schema, with the columns that a user attached to the stamps.

    Raises
    ------
    InputError
        The estimator or the dataset is not acceptable.
    """
    STAMPS.validate(stamps)
    columns = travelling_columns(stamps)
    chosen = find_estimator(estimator, recentre=recentre)
    check_width(chosen, stamps.sizes["x"], stamps.attrs["pixel_scale"])
    check_places(chosen, stamps)
    config = {"estimator": chosen.sha256 or chosen.name, "stamps": stamps.attrs["configuration_hash"]}
    config |= {"recentre": True} if recentre else {}
    packed = _packed_columns(stamps.drop_vars(columns.variables), chosen, device)
    shapes = xr.Dataset({name: packed.isel(column=i) for i, name in enumerate(COLUMNS)})
    shapes = shapes.assign_coords(columns.coords).assign(columns.data_vars)
    return SHAPES.described(shapes.assign_attrs(common_attributes(SHAPES, config), estimator=chosen.name))


def travelling_columns(stamps: xr.Dataset) -> xr.Dataset:
    """Return the columns that a user attached to stamps, such as redshifts, to go with their shapes.

    Raises
    ------
    InputError
        A column has the name of what is measured.
    """
    columns = STAMPS.columns_of(stamps)
    if taken := sorted(set(map(str, columns.variables)) & {*SHAPES.variables, *SHAPES.coords}):
        raise InputError(f"stamps: column {taken[0]!r} has the name of what is measured; expected another name")
    return columns


_OWN = {"psf": ("y", "x"), "psf_index": (), "offset": ("axis",), "noise_scale": (), "renoise": ("y", "x")}
"""What a galaxy may have of its own, and its dimensions."""


def check_places(chosen: Estimator, stamps: xr.Dataset) -> None:
    """Refuse to look for the centroids of stamps whose places are known.

    Raises
    ------
    InputError
        They are to be looked for.
    """
    if chosen.recentre and "offset" in stamps.variables:
        raise InputError("recentre: the stamps have the offsets of their galaxies; expected one of both")


def _packed_columns(stamps: xr.Dataset, chosen: Estimator, device: str) -> xr.DataArray:
    """Return all columns in one array: with one output per column Dask's graph is seven times as large."""
    seed = stamps.attrs["seed"]
    options: dict[str, Any] = {
        "chosen": chosen,
        "seed": 0 if seed is None else int(seed),
        "device": device,
    }
    # As a coordinate the index would end up in the shapes.
    stamps = stamps.reset_coords([name for name in ("psf_index",) if name in stamps.coords])
    versions = [dim for dim in ("shear",) if dim in stamps["image"].dims]
    # apply_ufunc takes ids as data, not as the index that they are in the dataset.
    inputs = [_whole_stamps(stamps["image"]), stamps["galaxy"].copy()]
    core = [[*versions, "y", "x"], []]
    each = [name for name in _OWN if name in stamps and "galaxy" in stamps[name].dims]
    inputs += [_whole_stamps(stamps[name]) for name in each]
    core += [list(_OWN[name]) for name in each]
    # What every galaxy has of its own comes with the blocks; taking it from here would load all of it.
    options |= {"imaging": imaging_of_stamps(stamps.isel(galaxy=slice(0))), "each": each}
    packed: xr.DataArray = xr.apply_ufunc(
        _measure_block,
        *inputs,
        kwargs=options,
        input_core_dims=core,
        output_core_dims=[[*versions, "column"]],
        dask="parallelized",
        output_dtypes=[np.float32],
        dask_gufunc_kwargs={"output_sizes": {"column": len(COLUMNS)}},
    )
    return packed


def _whole_stamps(array: xr.DataArray) -> xr.DataArray:
    """Return a lazy array in chunks that do not cut stamps."""
    if array.chunks is None:
        return array
    return array.chunk({dim: -1 for dim in array.dims if dim != "galaxy"})


def _measure_block(
    images: Array,
    ids: npt.NDArray[np.int64],
    *own: Array,
    imaging: Imaging,
    each: list[str],
    device: str,
    **options: Any,
) -> npt.NDArray[np.float32]:
    arrays: dict[str, Any] = dict(zip(each, map(to_numpy, own), strict=True))
    imaging = replace(imaging, **arrays)
    # "auto" is settled where the block is measured, which may be another machine.
    return measure_stamps(images, ids, imaging, device=choose_device(device), **options).astype(np.float32)
