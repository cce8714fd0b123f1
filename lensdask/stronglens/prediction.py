"""What a network says of lenses: lazily in memory, or as a resumable run from one store into another."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from lensdask.compute import (
    Chunks,
    Device,
    NewStore,
    RunOptions,
    RunResult,
    StoreReference,
    Table,
    Task,
    choose_device,
    refer_to,
    require_finished,
    run,
    settings_of,
    torch_settings,
)
from lensdask.data import LENS_FITS, LENS_PREDICTIONS, LENSES, common_attributes
from lensdask.data.template import coordinate_values
from lensdask.errors import InputError
from lensdask.places import PathLike, refuse_same
from lensdask.stronglens.fitting.fit import fit_smooth
from lensdask.stronglens.fitting.maps import maps_of
from lensdask.stronglens.fitting.run import check_fits, open_fits, survey_of
from lensdask.stronglens.nets.loss import CLASSES
from lensdask.stronglens.nets.trainingset import open_lenses
from lensdask.stronglens.network import COLUMNS, LensNetwork, find_network
from lensdask.stronglens.simulation.presets import Survey

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PredictLenses", "classify", "classify_run", "warn_of_conditions"]

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PredictLenses(Task):
    """Asks a network about lenses."""

    lenses: StoreReference
    """Store of images."""
    network: LensNetwork
    """What it asks."""
    survey: Survey | None
    """PSF and noise, for fits of smooth lenses; none where the network sees images alone."""
    fits: StoreReference | None = None
    """These fits, where they have been made before."""

    def __call__(self, start: int, stop: int, device: Device) -> tuple[Table, None]:
        """Return what the network says of some lenses."""
        rows = slice(start, stop)
        lenses = self.lenses.load(rows, ("image",))
        kept = None if self.fits is None else self.fits.load(rows, ("residual",))["residual"].values
        images, ids = lenses["image"].values, lenses["lens"].values
        return dict(_said(self.network, self.survey, images, ids, kept, device)), None


def _said(
    network: LensNetwork,
    survey: Survey | None,
    images: Float32,
    ids: npt.NDArray[np.int64],
    residuals: Float32 | None,
    device: Device,
) -> dict[str, Float32]:
    """Return what a network says of images, after smooth lenses are fitted to them where it sees residuals."""
    bad = ~np.isfinite(images).all(axis=(1, 2))
    if bad.any():
        raise InputError(f"lenses: the image of lens {ids[np.argmax(bad)]} is not finite; expected finite pixels")

    def fitted(images: Float32) -> Float32:
        return fit_smooth(images, cast(Survey, survey), device).residual if residuals is None else residuals

    return network.predict(maps_of(images, network.inputs, fitted), device)


def _survey(network: LensNetwork, lenses: "xr.Dataset", fits: object) -> Survey | None:
    """Return whose PSF and noise the fits need, where there are some to make."""
    return survey_of(lenses) if "residual" in network.inputs and fits is None else None


def warn_of_conditions(line: str) -> None:
    """Warn whoever called the function that calls this one."""
    warnings.warn(line, UserWarning, stacklevel=3)


def classify(
    lenses: "xr.Dataset",
    network: str | Path = "lens-net",
    *,
    fits: "xr.Dataset | None" = None,
    device: str = "auto",
) -> "xr.Dataset":
    """Return what a network says of lenses, made when it is computed; `lensdask.write` stores it.

    Parameters
    ----------
    lenses
        Of the schema ``lenses``; classes and masses in it are not looked at.
    network
        Name of a network that comes with the package (`networks`), or a file of weights from `train`.
    fits
        Of the schema ``lens_fits``, of these lenses, for a network that sees residuals; when none, smooth lenses are
        fitted on the way.
    device
        "auto", "cpu" or "cuda".

    Returns
    -------
    Dataset
        Of the schema ``lens_predictions``: ``probability`` (lens, class) of no substructure, subhaloes of cold dark
        matter and a vortex; or, by a network for masses, ``log10_mass`` and ``log10_mass_error`` (lens), mean and
        standard deviation of log10 (m / eV), which mean something for lenses with a vortex alone. A lens has the same
        numbers to the bit in any chunk.

    Raises
    ------
    InputError
        There is no such network, or it is for other pixels than those of the lenses; the fits are of other lenses; a
        network that sees residuals is asked of lenses of an unknown survey; when computed, an image is not finite.

    Warns
    -----
    UserWarning
        The network learned from lenses of another survey, preset, signal or noise.
    """
    import xarray as xr

    LENSES.validate(lenses)
    found = find_network(network)
    found.check(lenses, "lenses")
    survey, seen = _survey(found, lenses, fits), [_whole_images(lenses["image"])]
    if fits is not None:
        LENS_FITS.validate(fits)
        check_fits(fits, lenses, "fits")
        seen.append(_whole_images(fits["residual"]))
    for line in found.differences(lenses.attrs):
        warn_of_conditions(line)
    packed = xr.apply_ufunc(
        _predicted,
        # Ids as data, not as the index that they are in the dataset.
        lenses["lens"].copy(),
        *seen,
        kwargs={"network": found, "survey": survey, "device": device},
        input_core_dims=[[], *[["y", "x"]] * len(seen)],
        output_core_dims=[["class"]],
        dask="parallelized",
        output_dtypes=[np.float32],
        dask_gufunc_kwargs={"output_sizes": {"class": len(CLASSES) if found.task == "classify" else 2}},
    )
    if found.task == "classify":
        values = {"probability": packed.assign_coords({"class": np.array(CLASSES)})}
    else:
        values = {name: packed.isel({"class": number}) for number, name in enumerate(COLUMNS["mass"])}
    settings = {"lenses": lenses.attrs["configuration_hash"], "network": settings_of(found)}
    attributes = common_attributes(LENS_PREDICTIONS, settings) | _attributes(found, lenses)
    return LENS_PREDICTIONS.described(xr.Dataset(values).assign_attrs(attributes))


def _whole_images(array: "xr.DataArray") -> "xr.DataArray":
    """Return a lazy array in chunks that do not cut images."""
    return array.chunk({"y": -1, "x": -1} if array.chunks else {"lens": LENSES.chunk})


def _predicted(
    ids: npt.NDArray[np.int64],
    images: Float32,
    residuals: Float32 | None = None,
    *,
    network: LensNetwork,
    survey: Survey | None,
    device: str,
) -> Float32:
    # "auto" is settled where the block is computed, which may be another machine.
    with torch_settings():
        made = _said(network, survey, images, ids, residuals, choose_device(device)).values()
    return np.concatenate([part.reshape(len(ids), -1) for part in made], axis=1)


def _attributes(network: LensNetwork, lenses: "xr.Dataset") -> dict[str, Any]:
    """Return what predictions say of themselves, beside the common attributes."""
    return {
        "pixel_scale": float(lenses.attrs["pixel_scale"]),
        "network": network.label,
        "network_sha256": network.sha256,
        "task": network.task,
        "calibration": network.calibration,
        "lenses_hash": lenses.attrs["configuration_hash"],
        "trained_on": list(network.trained_on),
    }


def classify_run(
    lenses: PathLike,
    path: Path,
    *,
    network: str | Path = "lens-net",
    fits: PathLike | None = None,
    chunk: int = LENS_PREDICTIONS.chunk,
    options: RunOptions | None = None,
    warn: Callable[[str], None] = warn_of_conditions,
) -> RunResult:
    """Ask a network about a store of lenses, and write what it says into another store.

    Parameters
    ----------
    lenses
        Store of the schema ``lenses``.
    path
        Store to write, schema ``lens_predictions``; see `classify` for what is in it.
    network
        As for `classify`.
    fits
        Store of the schema ``lens_fits`` of these lenses, for a network that sees residuals; when none, smooth lenses
        are fitted on the way, which takes about 10 ms of a processor for each.
    chunk
        Lenses per task and per chunk of the store; does not change what is said.
    options
        Cluster, device, resumption.
    warn
        Told, before the run, if the network learned from lenses of another survey, preset, signal or noise; by default
        a Python warning.

    Raises
    ------
    InputError
        The output exists, there is no such network, the lenses are unfinished or on other pixels than those of the
        network, the fits are of other lenses, a network that sees residuals is asked of lenses of an unknown survey, or
        an image is not finite.
    """
    dataset = open_lenses(lenses)
    refuse_same(path, lenses)
    require_finished(lenses, "lensdask stronglens simulate")
    found = find_network(network)
    found.check(dataset, str(lenses))
    kept = None if fits is None else refer_to(fits, open_fits(fits, dataset))
    task = PredictLenses(refer_to(lenses, dataset), found, _survey(found, dataset, fits), kept)
    count, names = dataset.sizes["lens"], {"class": list(CLASSES)} if found.task == "classify" else {}
    store = NewStore(
        path,
        LENS_PREDICTIONS,
        {"lens": count} | {name: len(values) for name, values in names.items()},
        {"lens": coordinate_values(dataset["lens"]), **names},
        _attributes(found, dataset),
        optional=COLUMNS[found.task],
        measured=COLUMNS[found.task],
    )
    for line in found.differences(dataset.attrs):
        warn(line)
    return run(task, Chunks(count, chunk, "lenses"), store, options, label="classify")
