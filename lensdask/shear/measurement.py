"""Measure stamps: ellipticity, flux and their shear responses, lazily or as a chunk function.

Ellipticities come from the chosen estimator, the flux always from FPFS with its default settings, whose response is
known in closed form: one cut on the flux selects the same galaxies whatever the estimator.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
from lensdask.shear.d4cnn import D4CNN, build_d4cnn
from lensdask.shear.fpfs import FPFS, fpfs_shapes, make_moments
from lensdask.shear.instrument import Instrument, instrument_of_stamps
from lensdask.shear.noise import draw_renoise
from lensdask.shear.resmooth import make_resmoother, resmooth
from lensdask.shear.response import shapes_with_response
from lensdask.shear.stamps import check_finite

__all__ = ["COLUMNS", "Estimator", "Instrument", "find_estimator", "measure", "measure_stamps"]

Float64 = npt.NDArray[np.float64]

COLUMNS = tuple(SHAPES.variables)
"""Columns of a table of shapes, in order."""

SHIPPED = {
    name: Path(__file__).parent / "weights" / f"{name}.safetensors"
    for name in ("d4cnn", "d4cnn-fpfs", "d4cnn-paper", "d4cnn-relu", "cnn")
}
"""Networks that come with the package: the best one; a small and the paper's, which learned FPFS ellipticities; and two
ablations of the small one."""

BATCH = 64
"""Stamps per call of an estimator: their feature maps fit in the cache of a CPU core."""


@dataclass(frozen=True)
class Estimator:
    """Which estimator measures the ellipticity; small enough to travel with every task."""

    name: str
    """``fpfs``, ``fpfs:SIGMA,C``, ``d4cnn`` or the path of a network."""
    path: str | None = None
    """File of the network's weights; none for FPFS."""
    sha256: str | None = None
    """Checksum of these weights."""
    sigma: float = FPFS.sigma
    """Scale of FPFS, arcsec, where it measures the ellipticity."""
    C: float = FPFS.C
    """Its weighting constant."""
    kernel_fwhm: float | None = None
    """FWHM of the resmoothing kernel of a network, arcsec; that of its training when none."""


def find_estimator(name: str | Path) -> Estimator:
    """Return the estimator of a name.

    Parameters
    ----------
    name
        ``fpfs``; ``fpfs:SIGMA,C``, such as ``fpfs:0.70,25``, for FPFS with another scale (arcsec) and weighting
        constant (flux at zero point 30); a network that comes with the package, ``d4cnn``, ``d4cnn-fpfs``,
        ``d4cnn-paper``, ``d4cnn-relu`` or ``cnn``; or the path of a network's weights. ``NETWORK:FWHM``, such as
        ``d4cnn:0.935``, resmooths with another kernel than the network was trained with (arcsec).

    Raises
    ------
    InputError
        There is no such estimator, or its weights cannot be read.
    """
    method, _, settings = str(name).partition(":")
    if method == "fpfs":
        return _fpfs_estimator(str(name), settings)
    network, kernel_fwhm = _network_and_kernel(str(name))
    path = SHIPPED.get(network, Path(network))
    if path.suffix != ".safetensors":
        raise InputError(
            f"estimator {str(name)!r} is unknown; expected fpfs, {', '.join(SHIPPED)} or a .safetensors file"
        )
    card = load_card(path)
    if card["architecture"] != "d4cnn":
        raise InputError(f"{path}: weights of architecture {card['architecture']!r}; expected 'd4cnn'")
    # Read now what the workers will read later: damaged weights must not cost a cluster or an older result.
    cached_model(build_d4cnn, str(path.resolve()), card["sha256"], "cpu")
    return Estimator(str(name), str(path.resolve()), card["sha256"], kernel_fwhm=kernel_fwhm)


def _network_and_kernel(name: str) -> tuple[str, float | None]:
    """Split ``NETWORK:FWHM``; a path may have colons of its own."""
    network, _, fwhm = name.rpartition(":")
    if not network or fwhm.endswith(".safetensors"):
        return name, None
    try:
        width = float(fwhm)
    except ValueError:
        width = np.nan
    if not 0 < width < np.inf:
        raise InputError(f"estimator {name!r}: expected NETWORK:FWHM, a kernel in arcsec such as d4cnn:0.935")
    return network, width


def _fpfs_estimator(name: str, settings: str) -> Estimator:
    if name == "fpfs":
        return Estimator(name)
    try:
        sigma, C = map(float, settings.split(","))
    except ValueError:
        sigma = C = np.nan
    if not (0 < sigma < np.inf and 0 < C < np.inf):
        raise InputError(f"estimator {name!r}: expected fpfs:SIGMA,C, two positive numbers such as fpfs:0.70,25")
    return Estimator(name, sigma=sigma, C=C)


def _prepared(instrument: Instrument, *, own: Callable[..., Any], shared: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function from what a batch brings along, PSFs or their indices, to what was prepared of the PSFs."""
    if instrument.psf.ndim > 2 and instrument.psf_index is None:
        return own
    prepared = shared(instrument.psf)
    return (lambda: prepared) if instrument.psf_index is None else prepared.pick


def _fpfs_columns(instrument: Instrument, settings: FPFS) -> Callable[..., Float64]:
    """Return a function from images and renoise to (stamp, 9) columns."""
    prepare = partial(make_moments, pixel_scale=instrument.pixel_scale, settings=settings)
    of_batch = _prepared(instrument, own=prepare, shared=partial(prepare, shared=True))

    def columns(images: Any, renoise: Any, *psf: Any) -> Float64:
        moments = of_batch(*psf)
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
        fwhm=chosen.kernel_fwhm or network.config.kernel_fwhm,
        grid=network.config.grid,
    )
    of_batch = _prepared(instrument, own=prepare, shared=prepare)

    def columns(images: Any, renoise: Any, *psf: Any) -> Float64:
        image = torch.from_numpy(images).to(device)
        second = torch.from_numpy(renoise).to(device) if instrument.noise_sigma > 0 else None
        resmoothed = resmooth(image, of_batch(*psf), second)
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
        renoise = draw_renoise(ids, n, instrument.noise, seed)
    else:
        renoise = np.zeros((len(ids), n, n), np.float32)
    arrays = [flat, np.repeat(renoise, count, axis=0)]
    if instrument.psf_index is not None:
        # A chunk prepares no more PSFs than its galaxies have.
        present, index = np.unique(instrument.psf_index, return_inverse=True)
        instrument = replace(instrument, psf=instrument.psf[present], psf_index=index)
        arrays.append(np.repeat(index, count))
    elif instrument.psf.ndim > 2:
        arrays.append(np.repeat(instrument.psf, count, axis=0))
    table = np.ones((len(flat), len(COLUMNS)))
    settings = FPFS(chosen.sigma, chosen.C)
    table[:, :9] = in_batches(_fpfs_columns(instrument, FPFS()), tuple(arrays), BATCH)
    if chosen.path is not None:
        table[:, :6] = in_batches(_network_columns(instrument, chosen, device), tuple(arrays), BATCH)
    elif settings != FPFS():
        table[:, :6] = in_batches(_fpfs_columns(instrument, settings), tuple(arrays), BATCH)[:, :6]
    return table.reshape(*images.shape[:-2], len(COLUMNS))


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
    each = [name for name in ("psf", "psf_index") if name in stamps and "galaxy" in stamps[name].dims]
    inputs += [_whole_stamps(stamps[name]) for name in each]
    core += [["y", "x"] if name == "psf" else [] for name in each]
    # What every galaxy has of its own comes with the blocks; taking it from here would load all of it.
    options |= {"instrument": instrument_of_stamps(stamps.isel(galaxy=slice(0))), "each": each}
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
    *own: npt.NDArray[Any],
    instrument: Instrument,
    each: list[str],
    device: str,
    **options: Any,
) -> npt.NDArray[np.float32]:
    arrays: dict[str, Any] = dict(zip(each, own, strict=True))
    instrument = replace(instrument, **arrays)
    # "auto" is settled where the block is measured, which may be another machine.
    return measure_stamps(images, ids, instrument, device=choose_device(device), **options).astype(np.float32)
