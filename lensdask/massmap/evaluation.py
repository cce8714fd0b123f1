"""How close the mass maps of a store are to the true ones: every method on the same fields, with errors over fields.

A resumable run that keeps nothing but the sums of each field; see
`lensdask.maps.statistics.metrics` for what they become.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.compute import (
    Chunks,
    Device,
    Row,
    RunOptions,
    RunResult,
    StoreReference,
    Sums,
    Task,
    refer_to,
    row,
    run,
    write_result,
)
from lensdask.conventions import ARCMIN
from lensdask.data import MASS_MAPS, SHEAR_MAPS
from lensdask.errors import InputError, check_number
from lensdask.maps.statistics.metrics import (
    PIXEL_STATISTICS,
    pixel_statistics,
    pixel_sums,
    pooled,
    power_statistics,
    power_sums,
    smoothed,
)
from lensdask.massmap.runs import open_maps
from lensdask.places import local_path

__all__ = ["evaluate"]

Float64 = npt.NDArray[np.float64]

_RINGS = 12
"""Rings of multipoles, evenly spaced in their logarithm from the side of a field to its pixels."""

_RMSE = PIXEL_STATISTICS.index("rmse")


@dataclass(frozen=True)
class EvaluateFields(Task):
    """Compares mass maps with the truth: sums of each field, by number of the store."""

    truth: StoreReference
    """Store of the true convergence."""
    maps: tuple[StoreReference, ...]
    """Stores of mass maps."""
    smoothing: float
    """Standard deviation of the Gaussian for the second set of statistics, arcmin."""
    pixel_scale: float
    """Arcmin."""
    edges: tuple[float, ...]
    """Edges of the rings of multipoles."""

    @property
    def columns(self) -> tuple[slice, slice, slice]:
        """Which columns of the sums of a field are about pixels, about smoothed pixels, and about power."""
        return slice(0, 6), slice(6, 12), slice(12, 12 + 3 * (len(self.edges) - 1))

    def __call__(self, start: int, stop: int, device: Device) -> tuple[None, Sums]:  # noqa: ARG002  on the CPU
        """Return the sums of some fields."""
        fields, scale, edges = slice(start, stop), self.pixel_scale, np.array(self.edges)
        known = self.truth.load(fields, ("kappa", "mask"))
        truth, inside = known["kappa"].values.astype(np.float64), known["mask"].values != 0
        smooth = partial(smoothed, sigma=self.smoothing, pixel_scale=scale, mask=inside)
        smooth_truth = smooth(truth)
        sums = {}
        for number, store in enumerate(self.maps):
            kappa = store.load(fields, ("kappa",))["kappa"].values.astype(np.float64)
            _refuse_unfinished(kappa, inside, store.path, known["field"].values)
            parts = (
                pixel_sums(truth, kappa, inside),
                pixel_sums(smooth_truth, smooth(kappa), inside),
                power_sums(truth, kappa, scale, edges, inside)[1],
            )
            sums[str(number)] = np.concatenate(parts, axis=-1)
        return None, sums


def _refuse_unfinished(kappa: Float64, inside: npt.NDArray[np.bool_], path: str, ids: npt.NDArray[np.int64]) -> None:
    broken = (inside & ~np.isfinite(kappa)).any(axis=(1, 2))
    if broken.any():
        raise InputError(
            f"{path}: kappa of field {ids[np.argmax(broken)]} is not finite inside the mask; "
            "expected a finished reconstruction"
        )


def evaluate(
    directory: Path,
    maps: Sequence[Path],
    *,
    truth: Path,
    smoothing: float = 1.0,
    options: RunOptions | None = None,
) -> dict[str, Any]:
    """Compare stores of mass maps with the true convergence.

    Parameters
    ----------
    directory
        Gets ``result.json`` and the journal of the run.
    maps
        Stores of the schema ``mass_maps``, made of `truth`; the others are also compared with the first.
    truth
        Store of the schema ``shear_maps`` with the true convergence.
    smoothing
        Standard deviation of the Gaussian that smooths both for the second set of statistics, arcmin.
    options
        Cluster, device, resumption.

    Returns
    -------
    dict
        Content of ``result.json``. Rows about all pixels; rows that end in " smoothed"; rows with ``x``, the multipole,
        about power; and "rmse / METHOD", over that of the first, whose error knows that the fields are the same. Every
        pixel inside the mask counts the same; errors are from the scatter between fields.

    Raises
    ------
    InputError
        A store is not what it should be, is unfinished, or of other fields; or the output exists.
    """
    directory = local_path(directory, "a directory of results")
    if directory.exists() and (not directory.is_dir() or (directory / "zarr.json").exists()):
        raise InputError(f"{directory}: not a directory for results; expected OUT_DIR after the stores")
    task, labels, known = _compared(maps, truth, smoothing)
    chunks = Chunks(known.sizes["field"], known.chunksizes["field"][0], "fields")
    done = run(task, chunks, directory / "evaluation.journal.jsonl", options, label="evaluate")
    result = _result(done, task, labels, chunks.size)
    return write_result(directory / "result.json", result, computed=bool(done.objects))


def _compared(maps: Sequence[Path], truth: Path, smoothing: float) -> tuple[EvaluateFields, list[str], xr.Dataset]:
    """Return the task, the names of the methods, and the true maps."""
    known = open_maps(truth, SHEAR_MAPS)
    if "kappa" not in known:
        raise InputError(f"{truth}: no true convergence; expected simulated shear maps")
    found = [_reconstruction_of(path, known) for path in maps]
    labels = [str(one.attrs["method"]) for one in found]
    if len(set(labels)) < len(labels):
        labels = [path.stem for path in maps]
    if len(set(labels)) < len(labels):
        raise InputError(f"mass maps: {', '.join(map(str, maps))}; expected each once, with a name of its own")
    pixel_scale, (height, width) = float(known.attrs["pixel_scale"]), (known.sizes["y"], known.sizes["x"])
    longest = pixel_scale * max(height, width)
    check_number("smoothing", smoothing, above=0, most=longest, meaning="arcmin, below the longer side of the fields")
    side = 2 * np.pi / (pixel_scale * ARCMIN)
    edges = np.geomspace(side / min(height, width), side / 2, _RINGS + 1).tolist()
    references = tuple(refer_to(path, one) for path, one in zip(maps, found, strict=True))
    task = EvaluateFields(refer_to(truth, known), references, float(smoothing), pixel_scale, tuple(edges))
    return task, labels, known


def _reconstruction_of(path: Path, known: xr.Dataset) -> xr.Dataset:
    """Open a store of mass maps, of the fields that are known."""
    found = open_maps(path, MASS_MAPS)
    shapes = [tuple(one.sizes[dim] for dim in ("field", "y", "x")) for one in (found, known)]
    if shapes[0] != shapes[1]:
        raise InputError(f"{path}: maps of shape {shapes[0]}; expected {shapes[1]}, that of the truth")
    if found.attrs["pixel_scale"] != known.attrs["pixel_scale"]:
        expected = known.attrs["pixel_scale"]
        raise InputError(f"{path}: pixels of {found.attrs['pixel_scale']} arcmin; expected {expected}")
    if not np.array_equal(found["field"], known["field"]):
        raise InputError(f"{path}: ids of other fields; expected those of the truth")
    if MASS_MAPS.attribute(found, "maps_hash") != known.attrs["configuration_hash"]:
        raise InputError(f"{path}: made of other shear maps; expected those that hold the truth")
    # Simulations of one configuration share their fields, however many of them they have.
    if known.attrs["configuration_hash"] in MASS_MAPS.attribute(found, "trained_on"):
        raise InputError(
            f"{path}: by a network that was trained on fields of this truth; expected those of another seed"
        )
    return found


def _result(done: RunResult, task: EvaluateFields, labels: Sequence[str], fields: int) -> dict[str, Any]:
    chunks = [sums for sums in done.sums if sums is not None]
    tables = {
        label: np.concatenate([sums[str(number)] for sums in chunks]) for number, label in enumerate(labels) if chunks
    }
    rows = [row for label, table in tables.items() for row in _rows(label, table, task)]
    if len(tables) > 1:
        rows += _compared_rows(tables, task)
    return {
        "experiment": "massmap.evaluate",
        "size": fields,
        "smoothing": task.smoothing,
        "rows": rows,
        "run": done.record() | {"quarantined": len(done.quarantined)},
    }


def _rows(label: str, table: Float64, task: EvaluateFields) -> list[Row]:
    """Return the rows of a result file about one method."""
    pixels, smooth, power = (table[:, columns] for columns in task.columns)
    rows = []
    for part, suffix in ((pixels, ""), (smooth, " smoothed")):
        for name, value, error in zip(PIXEL_STATISTICS, *pooled(part, pixel_statistics), strict=True):
            rows.append(row(f"{name}{suffix}", value, error, series=label))
    ell = np.sqrt(np.multiply(task.edges[1:], task.edges[:-1]))
    values, errors = pooled(power, power_statistics)
    for number, (value, error) in enumerate(zip(values, errors, strict=True)):
        name, x = ("power ratio", "correlation of modes")[number // len(ell)], float(ell[number % len(ell)])
        rows.append(row(f"{name} at l = {x:.0f}", value, error, series=label, x=x))
    return rows


def _compared_rows(tables: Mapping[str, Float64], task: EvaluateFields) -> list[Row]:
    """Return the root mean square errors of methods over that of the first, on the same fields: with small errors."""
    first, *others = tables
    rows = []
    for columns, suffix in zip(task.columns[:2], ("", " smoothed"), strict=True):
        for other in others:
            both = np.concatenate([tables[name][:, columns] for name in (other, first)], axis=-1)
            values, errors = pooled(both, _ratio_of_rmse)
            rows.append(row(f"rmse / {first}{suffix}", values[0], errors[0], series=other))
    return rows


def _ratio_of_rmse(sums: Float64) -> Float64:
    above, below = (pixel_statistics(part)[..., _RMSE] for part in np.split(sums, 2, axis=-1))
    # A method may be perfect.
    return np.divide(above, below, out=np.full_like(above, np.inf), where=below > 0)[..., None]
