"""Measure stamps: ellipticity, flux and their shear responses, lazily or as a chunk function.

Ellipticities come from the chosen estimator, the flux always from FPFS, whose response is known in closed form.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr

from lensdask.arrays import in_batches, to_numpy
from lensdask.compute import cached_model, choose_device
from lensdask.data import SHAPES, STAMPS, common_attributes, load_card
from lensdask.errors import InputError
from lensdask.random import Stream
from lensdask.shear.d4cnn import D4CNN, build_d4cnn
from lensdask.shear.fpfs import fpfs_shapes, make_moments
from lensdask.shear.resmooth import make_resmoother, resmooth
from lensdask.shear.response import shapes_with_response
from lensdask.shear.simulate import draw_noise
from lensdask.shear.stamps import check_finite

__all__ = ["COLUMNS", "Estimator", "Instrument", "find_estimator", "measure", "measure_stamps"]

Float64 = npt.NDArray[np.float64]

COLUMNS = tuple(SHAPES.variables)
"""Columns of a table of shapes, in order."""

SHIPPED = {"d4cnn": Path(__file__).parent / "weights" / "d4cnn.safetensors"}
"""Networks that come with the package."""

BATCH = 64
"""Stamps per call of an estimator: their feature maps fit in the cache of a CPU core."""


@dataclass(frozen=True)
class Estimator:
    """Which estimator measures the ellipticity; small enough to travel with every task."""

    name: str
    """``fpfs``, ``d4cnn`` or the path of a network."""
    path: str | None = None
    """File of the network's weights; none for FPFS."""
    sha256: str | None = None
    """Checksum of these weights."""


@dataclass(frozen=True)
class Instrument:
    """What the measurement must know of the images."""

    psf: Float64
    """PSF including the pixel, shape (n, n) or (stamp, n, n)."""
    pixel_scale: float
    """Arcsec per pixel."""
    noise_sigma: float
    """Standard deviation of the noise per pixel; 0 for noiseless images, which get no renoise."""


def find_estimator(name: str | Path) -> Estimator:
    """Return the estimator of a name: ``fpfs``, ``d4cnn``, or the path of a network's weights.

    Raises
    ------
    InputError
        There is no such estimator, or its weights cannot be read.
    """
    if str(name) == "fpfs":
        return Estimator("fpfs")
    path = SHIPPED.get(str(name), Path(name))
    if path.suffix != ".safetensors":
        raise InputError(f"estimator {str(name)!r} is unknown; expected d4cnn, fpfs or a .safetensors file")
    card = load_card(path)
    if card["architecture"] != "d4cnn":
        raise InputError(f"{path}: weights of architecture {card['architecture']!r}; expected 'd4cnn'")
    # Read now what the workers will read later: damaged weights must not cost a cluster or an older result.
    cached_model(build_d4cnn, str(path.resolve()), card["sha256"], "cpu")
    return Estimator(str(name), str(path.resolve()), card["sha256"])


def _fpfs_columns(instrument: Instrument) -> Callable[..., Float64]:
    """Return a function from images and renoise to (stamp, 9) columns."""
    shared = None if instrument.psf.ndim > 2 else make_moments(instrument.psf, pixel_scale=instrument.pixel_scale)

    def columns(images: Any, renoise: Any, *psf: Any) -> Float64:
        moments = shared or make_moments(psf[0], pixel_scale=instrument.pixel_scale)
        second = renoise if instrument.noise_sigma > 0 else None
        return np.asarray(fpfs_shapes(images, moments, second).T)

    return columns


def _network_columns(instrument: Instrument, chosen: Estimator, device: str) -> Callable[..., Float64]:
    """Return a function from images and renoise to (stamp, 6) columns."""
    network = cached_model(build_d4cnn, str(chosen.path), str(chosen.sha256), device)
    if not isinstance(network, D4CNN):
        raise TypeError(f"{chosen.path} is no D4CNN")
    prepare = partial(
        make_resmoother,
        pixel_scale=instrument.pixel_scale,
        fwhm=network.config.kernel_fwhm,
        grid=network.config.grid,
    )
    shared = None if instrument.psf.ndim > 2 else prepare(instrument.psf)

    def columns(images: Any, renoise: Any, *psf: Any) -> Float64:
        image = torch.from_numpy(images).to(device)
        second = torch.from_numpy(renoise).to(device) if instrument.noise_sigma > 0 else None
        resmoothed = resmooth(image, shared or prepare(psf[0]), second)
        return to_numpy(shapes_with_response(network, resmoothed)).T.astype(np.float64)

    return columns


def measure_stamps(
    images: npt.NDArray[np.float32],
    ids: npt.NDArray[np.int64],
    instrument: Instrument,
    chosen: Estimator,
    *,
    seed: int,
    device: str = "cpu",
) -> Float64:
    """Measure stamps that lie in memory.

    Parameters
    ----------
    images
        Observed stamps, shape (galaxy, n, n), or (galaxy, shear, n, n) with one noise realisation per galaxy.
    ids
        Galaxy ids, shape (galaxy,); they key the renoise.
    instrument
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
        Pixels are not finite.
    """
    check_finite(images, ids, "stamps")
    n = images.shape[-1]
    versions = images[:, None] if images.ndim == 3 else images
    count = versions.shape[1]
    flat = np.ascontiguousarray(versions.reshape(-1, n, n), dtype=np.float32)
    if instrument.noise_sigma > 0:
        renoise = draw_noise(ids, n, instrument.noise_sigma, seed, Stream.RENOISE)
    else:
        renoise = np.zeros((len(ids), n, n), np.float32)
    arrays = [flat, np.repeat(renoise, count, axis=0)]
    if instrument.psf.ndim > 2:
        arrays.append(np.repeat(instrument.psf, count, axis=0))
    table = np.ones((len(flat), len(COLUMNS)))
    table[:, :9] = in_batches(_fpfs_columns(instrument), tuple(arrays), BATCH)
    if chosen.path is not None:
        table[:, :6] = in_batches(_network_columns(instrument, chosen, device), tuple(arrays), BATCH)
    return table.reshape(*images.shape[:-2], len(COLUMNS))


def instrument_of(stamps: xr.Dataset) -> Instrument:
    """Return what the measurement must know of a dataset of stamps."""
    psf = np.asarray(stamps["psf"].values, dtype=np.float64)
    return Instrument(psf, float(stamps.attrs["pixel_scale"]), float(stamps.attrs["noise_sigma"]))


def as_table(columns: Float64) -> Mapping[str, npt.NDArray[np.float32]]:
    """Return columns, shape (..., column), as named single-precision arrays."""
    return {name: np.ascontiguousarray(columns[..., i], dtype=np.float32) for i, name in enumerate(COLUMNS)}


def measure(stamps: xr.Dataset, estimator: str | Path = "d4cnn", *, device: str = "auto") -> xr.Dataset:
    """Measure a dataset of stamps; lazily if it is lazy.

    Parameters
    ----------
    stamps
        Dataset of the stamps schema: `make_stamps`, or `lensdask.open` of a store.
    estimator
        ``d4cnn``, ``fpfs``, or the path of a network.
    device
        "auto", "cpu" or "cuda".

    Returns
    -------
    Dataset
        Of the shapes schema.

    Raises
    ------
    InputError
        The estimator or the dataset is not acceptable.
    """
    STAMPS.validate(stamps)
    chosen = find_estimator(estimator)
    config = {"estimator": chosen.sha256 or chosen.name, "stamps": stamps.attrs["configuration_hash"]}
    packed = _packed_columns(stamps, chosen, device)
    shapes = xr.Dataset({name: packed.isel(column=i) for i, name in enumerate(COLUMNS)})
    return shapes.assign_attrs(common_attributes(SHAPES, config), estimator=chosen.name)


def _packed_columns(stamps: xr.Dataset, chosen: Estimator, device: str) -> xr.DataArray:
    """Return all columns in one array: with one output per column Dask's graph is seven times as large."""
    seed = stamps.attrs["seed"]
    options = {
        "pixel_scale": float(stamps.attrs["pixel_scale"]),
        "noise_sigma": float(stamps.attrs["noise_sigma"]),
        "chosen": chosen,
        "seed": 0 if seed is None else int(seed),
        "device": device,
    }
    versions = [dim for dim in ("shear",) if dim in stamps["image"].dims]
    # apply_ufunc takes ids as data, not as the index that they are in the dataset.
    inputs = [_whole_stamps(stamps["image"]), stamps["galaxy"].copy()]
    core = [[*versions, "y", "x"], []]
    if "galaxy" in stamps["psf"].dims:
        inputs.append(_whole_stamps(stamps["psf"]))
        core.append(["y", "x"])
    else:
        options["psf"] = np.asarray(stamps["psf"].values)
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
    images: npt.NDArray[np.float32],
    ids: npt.NDArray[np.int64],
    psf: Float64,
    *,
    pixel_scale: float,
    noise_sigma: float,
    device: str,
    **options: Any,
) -> npt.NDArray[np.float32]:
    instrument = Instrument(psf, pixel_scale, noise_sigma)
    # "auto" is settled where the block is measured, which may be another machine.
    return measure_stamps(images, ids, instrument, device=choose_device(device), **options).astype(np.float32)
