"""The test fields of a mass-map experiment and what each method makes of them, kept among its parts.

Fields have the ids 0, 1, ...: no network of the package was trained on them. All numbers are means over fields with
errors from the scatter between them, and the number N beside them is that of the fields.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.compute import Row, RunOptions, RunResult, row
from lensdask.data import open as open_store
from lensdask.errors import InputError
from lensdask.maps.statistics.metrics import Float64, Maps, mean_over_maps
from lensdask.massmap.evaluation import evaluate
from lensdask.massmap.runs import reconstruct_run, simulate_run
from lensdask.reproduce.experiment import Job, Outcome
from lensdask.reproduce.massmaps.networks import LABELS, SKIES, SURVEYS, method_of
from lensdask.sky.simulate import Generator

__all__ = [
    "IMAGE_UNIT",
    "QUANTITIES",
    "Sample",
    "curve",
    "image",
    "mean_rows",
    "part_options",
    "sample_of",
    "simulated_fields",
]

IMAGE_UNIT = 1e-4
"""Convergence that 1 stands for in the images of rows."""

_MOST_PIXELS = 64
"""Pixels on a side of an image in a row; maps of more are averaged over squares."""

QUANTITIES = {
    "rmse": "RMSE",
    "rmse smoothed": "RMSE, smoothed by 1'",
    "rmse / wiener": "RMSE / RMSE of Wiener",
    "rmse / wiener smoothed": "RMSE / RMSE of Wiener, smoothed by 1'",
    "slope": "slope by linear regression",
    "total_slope": "slope by total least squares",
    "correlation": "correlation of pixels",
}
"""What `Sample.compared` gives, by the names of `lensdask.massmap.evaluate`."""


@dataclass(frozen=True)
class Sample:
    """Test fields in a store, of the schema ``shear_maps`` with the truth."""

    job: Job
    """Whose they are."""
    store: Path
    """Where they are."""
    maps: xr.Dataset
    """The open store."""
    device: str
    """Name of the processor that made them."""

    @property
    def truth(self) -> npt.NDArray[np.float32]:
        """True convergence, shape (field, y, x)."""
        return np.asarray(self.maps["kappa"].values)

    @property
    def mask(self) -> npt.NDArray[np.int8]:
        """Footprint, of the same shape."""
        return np.asarray(self.maps["mask"].values)

    @property
    def pixel_scale(self) -> float:
        """Arcmin."""
        return float(self.maps.attrs["pixel_scale"])

    @property
    def size(self) -> int:
        """How many fields there are."""
        return int(self.maps.sizes["field"])

    def reconstructed(self, label: str) -> Path:
        """Return the store of what a method makes of the fields, made unless it is there.

        Raises
        ------
        InputError
            Some of it could not be made.
        """
        path = self.store.with_name(f"{self.store.stem}-{LABELS[label].replace(':', '-')}.zarr")
        _complete(
            path, reconstruct_run(self.store, path, method=method_of(self.job, label), options=part_options(self.job))
        )
        return path

    def reconstructions(self, labels: Sequence[str]) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        """Give label and maps, shape (field, y, x), one method after the other."""
        for label in labels:
            yield label, np.asarray(open_store(self.reconstructed(label))["kappa"].values)

    def with_truth(self, labels: Sequence[str]) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        """Give the same after the truth."""
        yield "truth", self.truth
        yield from self.reconstructions(labels)

    def evaluated(self, labels: Sequence[str]) -> list[Row]:
        """Compare the methods with the truth by `lensdask.massmap.evaluate`: its rows, by label.

        Values that do not exist, such as the power of a ring without modes, are left out.
        """
        stores = [self.reconstructed(label) for label in labels]
        directory = self.store.with_name(f"{self.store.stem}-evaluation")
        result = evaluate(directory, stores, truth=self.store, options=part_options(self.job))
        if result["run"]["quarantined"]:
            raise InputError(f"{directory}: fields that could not be compared; try again with if_exists='resume'")
        names = dict(zip(dict.fromkeys(r["series"] for r in result["rows"]), labels, strict=True))
        # The comparison may name stores, where methods differ by their smoothing alone.
        over, ours = f"/ {next(iter(names))}", f"/ {LABELS[labels[0]]}"
        found = [
            r | {"series": names[r["series"]], "quantity": r["quantity"].replace(over, ours), "n": self.size}
            for r in result["rows"]
        ]
        return [r for r in found if r["measured"] is not None and r["error"] is not None]

    def compared(self, labels: Sequence[str], quantities: Collection[str] = tuple(QUANTITIES)) -> list[Row]:
        """Return those of these rows that are about pixels, under the names of `QUANTITIES`; the first is Wiener."""
        rows = self.evaluated(labels)
        return [r | {"quantity": QUANTITIES[r["quantity"]]} for r in rows if r["quantity"] in quantities]

    def outcome(self, rows: list[Row]) -> Outcome:
        """Return rows with the number of galaxies that they rest on."""
        galaxies = self.maps["count"].sum(dtype="float64")
        return Outcome(rows, int(galaxies), device=self.device)


def part_options(job: Job) -> RunOptions:
    """Return how runs among the parts are carried out: what is there is of this job, and complete or continued."""
    return replace(job.options, if_exists="resume")


def _complete(path: Path, run: RunResult) -> None:
    if run.quarantined:
        raise InputError(f"{path}: {len(run.quarantined)} chunks could not be made; try again with if_exists='resume'")


def sample_of(job: Job, path: Path, run: RunResult) -> Sample:
    """Return the fields that a run has made.

    Raises
    ------
    InputError
        Some could not be made.
    """
    _complete(path, run)
    return Sample(job, path, open_store(path), run.device)


def simulated_fields(
    job: Job, fields: int, *, generator: Generator = "lognormal", mask_fraction: float = 0.0
) -> Sample:
    """Return test fields, simulated unless they are among the parts.

    Parameters
    ----------
    job
        Experiment.
    fields
        How many.
    generator
        Of `lensdask.sky.simulate.SkyConfig`; "halo" lists the haloes.
    mask_fraction
        Part of the fields behind discs.
    """
    sky = replace(SKIES[job.size], generator=generator)
    survey = replace(SURVEYS[job.size], mask_fraction=mask_fraction)
    path = job.parts / "fields.zarr"
    return sample_of(
        job, path, simulate_run(path, fields=fields, sky=sky, survey=survey, seed=job.seed, options=part_options(job))
    )


def curve(quantity: str, label: str, x: Float64, values: Float64, errors: Float64, n: int, **more: Any) -> list[Row]:
    """Return the points of a curve, without those that have no value or no error.

    Parameters
    ----------
    quantity, label
        What it shows, and of what.
    x, values, errors
        Shape (n,).
    n
        Fields.
    **more
        Further columns, shape (n,): ``low``, ``high``, the edges of a band.
    """
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(values) & np.isfinite(errors))
    return [
        row(quantity, values[k], errors[k], series=label, x=float(x[k]), n=n)
        | {name: float(column[k]) for name, column in more.items()}
        for k in known
    ]


def image(label: str, kappa: Maps, pixel_scale: float, mask: Maps | None = None, **more: Any) -> Row:
    """Return a row that holds a map for the picture, beside the standard deviation of its pixels.

    Parameters
    ----------
    label
        Series.
    kappa
        One map, shape (y, x), averaged to at most 64 pixels along a side.
    pixel_scale
        Arcmin.
    mask
        Not 0 inside the footprint; everything is when none.
    **more
        Further entries.

    Returns
    -------
    dict
        With ``image``: lines of whole numbers of `IMAGE_UNIT`, "-" outside of the footprint, the first line the lowest;
        and ``pixel_scale`` of its pixels, arcmin.
    """
    step = -(-max(kappa.shape) // _MOST_PIXELS)
    inside = np.isfinite(kappa) if mask is None else (np.asarray(mask) != 0) & np.isfinite(kappa)
    height, width = (n - n % step for n in kappa.shape)
    total, count = (
        part[:height, :width].reshape(height // step, step, width // step, step).sum(axis=(1, 3), dtype=np.float64)
        for part in (np.where(inside, kappa, 0.0), inside)
    )
    means = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    lines = [" ".join("-" if np.isnan(v) else str(round(v / IMAGE_UNIT)) for v in line) for line in means]
    return row(
        "standard deviation of the map shown",
        np.std(kappa[inside], dtype=np.float64),
        series=label,
        image=lines,
        pixel_scale=pixel_scale * step,
        **more,
    )


def mean_rows(names: Sequence[str], label: str, values: Float64, **more: Any) -> list[Row]:
    """Return the means over fields of numbers, shape (field, name), without those that have no error."""
    mean, error = mean_over_maps(values)
    known = [k for k in range(len(names)) if np.isfinite([mean[k], error[k]]).all()]
    return [row(names[k], mean[k], error[k], series=label, n=len(values), **more) for k in known]
