"""How close the mass maps of a store are to the true ones: every method on the same fields, with errors over fields.

A resumable run that keeps nothing but the sums of each field; see
`lensdask.maps.statistics.metrics` for what they become.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.compute import RunOptions, RunResult, Sums, Table, carry_out, loaded, write_json
from lensdask.data import MASS_MAPS, SHEAR_MAPS
from lensdask.errors import InputError
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
from lensdask.stats import ARCMIN

__all__ = ["evaluate"]

Float64 = npt.NDArray[np.float64]

_RINGS = 12
"""Rings of multipoles, evenly spaced in their logarithm from the side of a field to its pixels."""

_RMSE = PIXEL_STATISTICS.index("rmse")


def _columns(edges: Sequence[float]) -> tuple[slice, slice, slice]:
    """Return which columns of the sums of a field are about pixels, about smoothed pixels, and about power."""
    return slice(0, 6), slice(6, 12), slice(12, 12 + 3 * (len(edges) - 1))


def evaluate_chunk(
    start: int,
    stop: int,
    config: Mapping[str, Any],
    device: str,  # noqa: ARG001  chunk functions share a signature
) -> tuple[Table | None, Sums | None]:
    """Chunk function that compares mass maps with the truth: sums of each field, by number of the store."""
    fields = slice(start, stop)
    known = loaded(config["truth"]["path"], config["truth"]["hash"], fields, ("kappa", "mask"))
    truth, inside = known["kappa"].values.astype(np.float64), known["mask"].values != 0
    scale, edges = config["pixel_scale"], np.array(config["edges"])
    smooth = partial(smoothed, sigma=config["smoothing"], pixel_scale=scale, mask=inside)
    smooth_truth = smooth(truth)
    sums = {}
    for number, store in enumerate(config["maps"]):
        kappa = loaded(store["path"], store["hash"], fields, ("kappa",))["kappa"].values.astype(np.float64)
        _refuse_unfinished(kappa, inside, store["path"], known["field"].values)
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
    if directory.exists() and (not directory.is_dir() or (directory / "zarr.json").exists()):
        raise InputError(f"{directory}: not a directory for results; expected OUT_DIR after the stores")
    config, labels, known = _compared(maps, truth, smoothing)
    run = carry_out(
        evaluate_chunk,
        config,
        directory / "evaluation.journal.jsonl",
        size=known.sizes["field"],
        chunk=known.chunksizes["field"][0],
        label="evaluate",
        unit="fields",
        options=options,
    )
    return _recorded(directory / "result.json", _result(run, config, labels, known.sizes["field"]), run)


def _compared(maps: Sequence[Path], truth: Path, smoothing: float) -> tuple[dict[str, Any], list[str], xr.Dataset]:
    """Return the configuration, the names of the methods, and the true maps."""
    known = open_maps(truth, SHEAR_MAPS)
    if "kappa" not in known:
        raise InputError(f"{truth}: no true convergence; expected simulated shear maps")
    if not (np.isfinite(smoothing) and smoothing > 0):
        raise InputError(f"smoothing: {smoothing}; expected a standard deviation in arcmin, above 0")
    found = [_reconstruction_of(path, known) for path in maps]
    labels = [str(one.attrs["method"]) for one in found]
    if len(set(labels)) < len(labels):
        labels = [path.stem for path in maps]
    if len(set(labels)) < len(labels):
        raise InputError(f"mass maps: {', '.join(map(str, maps))}; expected each once, with a name of its own")
    pixel_scale, (height, width) = float(known.attrs["pixel_scale"]), (known.sizes["y"], known.sizes["x"])
    side = 2 * np.pi / (pixel_scale * ARCMIN)
    config = {
        "truth": _identified(truth, known),
        "maps": [_identified(path, one) for path, one in zip(maps, found, strict=True)],
        "smoothing": float(smoothing),
        "pixel_scale": pixel_scale,
        "edges": np.geomspace(side / min(height, width), side / 2, _RINGS + 1).tolist(),
    }
    return config, labels, known


def _identified(path: Path, store: xr.Dataset) -> dict[str, str]:
    return {"path": str(path.resolve()), "hash": store.attrs["configuration_hash"]}


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
    if found.attrs.get("maps_hash") != known.attrs["configuration_hash"]:
        raise InputError(f"{path}: made of other shear maps; expected those that hold the truth")
    # Simulations of one configuration share their fields, however many of them they have.
    if known.attrs["configuration_hash"] in found.attrs.get("trained_on", ()):
        raise InputError(
            f"{path}: by a network that was trained on fields of this truth; expected those of another seed"
        )
    return found


def _result(run: RunResult, config: Mapping[str, Any], labels: Sequence[str], fields: int) -> dict[str, Any]:
    chunks = [sums for sums in run.sums if sums is not None]
    tables = {
        label: np.concatenate([sums[str(number)] for sums in chunks]) for number, label in enumerate(labels) if chunks
    }
    rows = [row for label, table in tables.items() for row in _rows(label, table, config)]
    if len(tables) > 1:
        rows += _compared_rows(tables, config)
    return {
        "experiment": "massmap.evaluate",
        "size": fields,
        "smoothing": config["smoothing"],
        "rows": rows,
        "run": run.record() | {"quarantined": len(run.quarantined)},
    }


def _rows(label: str, table: Float64, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a result file about one method."""
    pixels, smooth, power = (table[:, columns] for columns in _columns(config["edges"]))
    rows = []
    for part, suffix in ((pixels, ""), (smooth, " smoothed")):
        for name, value, error in zip(PIXEL_STATISTICS, *pooled(part, pixel_statistics), strict=True):
            rows.append(_row(label, f"{name}{suffix}", value, error))
    ell = np.sqrt(np.multiply(config["edges"][1:], config["edges"][:-1]))
    values, errors = pooled(power, power_statistics)
    for number, (value, error) in enumerate(zip(values, errors, strict=True)):
        name, x = ("power ratio", "correlation of modes")[number // len(ell)], float(ell[number % len(ell)])
        rows.append(_row(label, f"{name} at l = {x:.0f}", value, error, x=x))
    return rows


def _compared_rows(tables: Mapping[str, Float64], config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the root mean square errors of methods over that of the first, on the same fields: with small errors."""
    first, *others = tables
    rows = []
    for columns, suffix in zip(_columns(config["edges"])[:2], ("", " smoothed"), strict=True):
        for other in others:
            both = np.concatenate([tables[name][:, columns] for name in (other, first)], axis=-1)
            values, errors = pooled(both, _ratio_of_rmse)
            rows.append(_row(other, f"rmse / {first}{suffix}", values[0], errors[0]))
    return rows


def _ratio_of_rmse(sums: Float64) -> Float64:
    above, below = (pixel_statistics(part)[..., _RMSE] for part in np.split(sums, 2, axis=-1))
    # A method may be perfect.
    return np.divide(above, below, out=np.full_like(above, np.inf), where=below > 0)[..., None]


def _row(series: str, quantity: str, value: float, error: float, **more: float) -> dict[str, Any]:
    # A ring without modes has no power, one field no error; JSON has no NaN.
    measured, spread = (float(v) if np.isfinite(v) else None for v in (value, error))
    return {
        "series": series,
        "quantity": quantity,
        "published": None,
        "published_error": None,
        "measured": measured,
        "error": spread,
        "unit": "1",
        "comparable": False,
        **more,
    }


def _recorded(path: Path, result: dict[str, Any], run: RunResult) -> dict[str, Any]:
    """Write a result, unless it is on record of a run that took the time; return the one on record."""
    if not run.objects:
        try:
            recorded = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            recorded = {}
        if isinstance(recorded, dict) and recorded | {"run": None} == result | {"run": None}:
            return recorded
    write_json(path, result)
    return result
