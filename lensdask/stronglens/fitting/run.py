"""Fit smooth lenses to all images of a store: a resumable run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.compute import (
    Chunks,
    Device,
    NewStore,
    RunOptions,
    RunResult,
    StoreReference,
    Table,
    Task,
    refer_to,
    require_finished,
    run,
)
from lensdask.data import LENS_FITS
from lensdask.data import open as open_store
from lensdask.errors import InputError
from lensdask.places import PathLike, refuse_same
from lensdask.stronglens.fitting.fit import fit_smooth
from lensdask.stronglens.fitting.smooth import PARAMETERS
from lensdask.stronglens.nets.trainingset import open_lenses
from lensdask.stronglens.simulation.presets import Survey, find_survey

__all__ = ["FitLenses", "check_fits", "fit_run", "kept_residuals", "open_fits", "survey_of"]


@dataclass(frozen=True)
class FitLenses(Task):
    """Fits smooth lenses to images."""

    lenses: StoreReference
    """Store of images."""
    survey: Survey
    """Their PSF and noise."""

    def __call__(self, start: int, stop: int, device: Device) -> tuple[Table, None]:
        """Return fits of some lenses."""
        lenses = self.lenses.load(slice(start, stop), ("image",))
        images = lenses["image"].values
        bad = ~np.isfinite(images).all(axis=(1, 2))
        if bad.any():
            raise InputError(f"the image of lens {lenses['lens'].values[np.argmax(bad)]} is not finite")
        made = fit_smooth(images, self.survey, device)
        table = dict(zip(PARAMETERS, made.parameters.T, strict=True))
        return {"residual": made.residual, "chi2": made.chi2, **table}, None


def survey_of(lenses: xr.Dataset, survey: str | Survey | None = None) -> Survey:
    """Return the survey whose PSF and noise images have.

    Parameters
    ----------
    lenses
        Of the schema ``lenses``.
    survey
        Name, or numbers; what the lenses say themselves when none.

    Raises
    ------
    InputError
        There is none of that name, or it has other pixels.
    """
    found = find_survey(str(lenses.attrs["survey"]) if survey is None else survey)
    if not np.isclose(found.pixel_scale, lenses.attrs["pixel_scale"]):
        scale = lenses.attrs["pixel_scale"]
        raise InputError(f"survey: pixels of {found.pixel_scale:g} arcsec; expected {scale:g}, as the lenses have")
    return found


def fit_run(
    lenses: PathLike,
    path: Path,
    *,
    survey: str | Survey | None = None,
    chunk: int = LENS_FITS.chunk,
    options: RunOptions | None = None,
) -> RunResult:
    """Fit a smooth lens to every image of a store, and keep its parameters, χ² and what it leaves.

    Parameters
    ----------
    lenses
        Store of the schema ``lenses``.
    path
        Store to write, schema ``lens_fits``.
    survey
        Whose PSF and noise the images have: "euclid", "hst", or a `Survey`; as the lenses say when none.
    chunk
        Lenses per task and per chunk of the store; does not change the fits.
    options
        Cluster, device, resumption.

    Raises
    ------
    InputError
        The output exists; the lenses are unfinished, not of a known survey, or of other pixels than it has.
    """
    dataset = open_lenses(lenses)
    refuse_same(path, lenses)
    require_finished(lenses, "lensdask stronglens simulate")
    task = FitLenses(refer_to(lenses, dataset), survey_of(dataset, survey))
    attributes = {
        "pixel_scale": task.survey.pixel_scale,
        "survey": task.survey.name,
        "lenses_hash": dataset.attrs["configuration_hash"],
    }
    sizes = {name: dataset.sizes[name] for name in ("lens", "y", "x")}
    store = NewStore(path, LENS_FITS, sizes, {"lens": dataset["lens"].values}, attributes)
    return run(task, Chunks(sizes["lens"], chunk, "lenses"), store, options, label="fit smooth lenses")


def kept_residuals(path: PathLike, lenses: xr.Dataset) -> npt.NDArray[np.float32]:
    """Return the residuals of a store of fits, shape (lens, y, x).

    Parameters
    ----------
    path, lenses
        As for `open_fits`.
    """
    return np.asarray(open_fits(path, lenses)["residual"].to_numpy(), dtype=np.float32)


def open_fits(path: PathLike, lenses: xr.Dataset) -> xr.Dataset:
    """Return a store of fits, open.

    Parameters
    ----------
    path
        The store.
    lenses
        Whose fits they must be.

    Raises
    ------
    InputError
        It is no finished store of fits, or one of other lenses.
    """
    fits = open_store(path)
    if fits.attrs["schema"] != LENS_FITS.name:
        raise InputError(f"{path}: a store of {fits.attrs['schema']}; expected one of {LENS_FITS.name}")
    require_finished(path, "lensdask stronglens fit")
    check_fits(fits, lenses, str(path))
    return fits


def check_fits(fits: xr.Dataset, lenses: xr.Dataset, where: str) -> None:
    """Refuse fits of other lenses.

    Parameters
    ----------
    fits
        Of the schema ``lens_fits``.
    lenses
        Whose fits they must be.
    where
        Name of the fits, for the message.

    Raises
    ------
    InputError
        They are of others.
    """
    if fits.attrs["lenses_hash"] != lenses.attrs["configuration_hash"] or not np.array_equal(
        fits["lens"].values, lenses["lens"].values
    ):
        raise InputError(f"{where}: fits of other lenses; expected those of the images")
