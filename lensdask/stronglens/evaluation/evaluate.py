"""How good the predictions of a store are: scores with intervals from resampled lenses, which are a resumable run."""

from collections.abc import Callable
from dataclasses import dataclass
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
    require_finished,
    row,
    run,
    write_result,
)
from lensdask.data import open as open_store
from lensdask.errors import InputError, check_number, check_seed
from lensdask.places import local_path
from lensdask.random import Stream, generator
from lensdask.stats import MOST_RESAMPLINGS
from lensdask.stronglens.evaluation.metrics import expected_calibration_error
from lensdask.stronglens.evaluation.scores import Judged, reliability, roc_curve, score_names, scores
from lensdask.stronglens.nets.loss import CLASSES
from lensdask.stronglens.nets.trainingset import open_lenses
from lensdask.stronglens.network import COLUMNS
from lensdask.stronglens.prediction import warn_of_conditions

__all__ = ["ResampleLenses", "evaluate", "judged_lenses"]

Float64 = npt.NDArray[np.float64]

_LEAST = 10
"""Lenses that there must be: as many as bins of the calibration error."""

_PER_TASK = 100
"""Resamplings of a task: seconds, of some ten thousand lenses."""


@dataclass(frozen=True)
class ResampleLenses(Task):
    """Scores resamplings of lenses, with replacement."""

    predictions: StoreReference
    """What a network said."""
    lenses: StoreReference
    """What is true."""
    seed: int
    """Of the resamplings, whose numbers choose the lenses."""

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def __call__(self, start: int, stop: int, device: Device) -> tuple[None, Sums]:  # noqa: ARG002  on the CPU
        """Return the scores of some resamplings, shape (resampling, score)."""
        predictions = self.predictions.load(slice(None))
        judged = judged_lenses(predictions, self.lenses.load(slice(None), ("label", "log10_mass")))
        task, count, found = predictions.attrs["task"], len(judged.true), []
        for number in range(start, stop):
            random = generator(self.seed, Stream.BOOTSTRAP, number)
            found.append(scores(task, judged.rows(random.integers(count, size=count))))
        return None, {"scores": np.array(found)}


def judged_lenses(predictions: xr.Dataset, lenses: xr.Dataset) -> Judged:
    """Return predictions and truth in memory: all lenses of a classification, those with a mass of a regression.

    Parameters
    ----------
    predictions
        Of the schema ``lens_predictions``.
    lenses
        Of the schema ``lenses``, the same ones.

    Raises
    ------
    InputError
        A prediction is not finite, a lens has none of the three classes, or there are too few lenses.
    """
    task = predictions.attrs["task"]
    columns = [predictions[name].values.reshape(predictions.sizes["lens"], -1) for name in COLUMNS[task]]
    predicted = np.concatenate(columns, axis=1).astype(np.float64)
    bad = ~np.isfinite(predicted).all(axis=1)
    if bad.any():
        lens = predictions["lens"].values[np.argmax(bad)]
        raise InputError(f"predictions: that of lens {lens} is not finite; expected a finished run")
    if task == "classify":
        judged = Judged(predicted, lenses["label"].values.astype(np.int64))
        if not np.isin(judged.true, range(len(CLASSES))).all():
            raise InputError(f"lenses: labels {np.unique(judged.true).tolist()}; expected 0 to {len(CLASSES) - 1}")
    else:
        mass = lenses["log10_mass"].values.astype(np.float64)
        judged = Judged(predicted, mass).rows(np.flatnonzero(np.isfinite(mass)))
    if len(judged.true) < _LEAST:
        kind = "" if task == "classify" else " with a mass"
        raise InputError(f"lenses: {len(judged.true)}{kind}; expected at least {_LEAST}")
    return judged


def evaluate(
    directory: Path,
    predictions: Path,
    lenses: Path,
    *,
    resamplings: int = 1000,
    seed: int = 0,
    options: RunOptions | None = None,
    warn: Callable[[str], None] = warn_of_conditions,
) -> dict[str, Any]:
    """Compare the predictions of a store with the truth.

    Parameters
    ----------
    directory
        Gets ``result.json`` and the journal of the run.
    predictions
        Store of the schema ``lens_predictions``.
    lenses
        Store of the schema ``lenses`` that they were made of.
    resamplings
        Of the lenses, with replacement, for the intervals.
    seed
        Of the resamplings.
    options
        Cluster, device, resumption.
    warn
        Told of classes that no lens is of; by default a Python warning.

    Returns
    -------
    dict
        Content of ``result.json``: rows of the scores (see `lensdask.stronglens.evaluation.scores`), each with its
        standard error and ``low`` and ``high``, the ends of the 95 % interval, from the resamplings. A calibration
        error is larger in resamplings than in the lenses, as chance adds to it; beside it is that of a perfectly
        calibrated network, which is chance alone. Rows with ``x`` are points of curves.

    Raises
    ------
    InputError
        A store is not what it should be, is unfinished, or of other lenses; the network learned from these lenses;
        there are too few; or the output exists.
    """
    directory = local_path(directory, "a directory of results")
    if directory.exists() and (not directory.is_dir() or (directory / "zarr.json").exists()):
        raise InputError(f"{directory}: not a directory for results; expected OUT_DIR after the stores")
    check_number("resamplings", resamplings, least=2, most=MOST_RESAMPLINGS, whole=True)
    known = open_lenses(lenses)
    found = _predictions_of(predictions, known)
    judged, task = judged_lenses(found, known), found.attrs["task"]
    for line in _missing(judged, task):
        warn(line)
    resampled = ResampleLenses(refer_to(predictions, found), refer_to(lenses, known), seed)
    chunks = Chunks(resamplings, min(_PER_TASK, resamplings), "resamplings")
    done = run(resampled, chunks, directory / "evaluation.journal.jsonl", options, label="evaluate")
    result = {
        "experiment": "stronglens.evaluate",
        "size": len(judged.true),
        "network": found.attrs["network"],
        "task": task,
        "rows": [*_score_rows(task, judged, done), *(_curve_rows(judged) if task == "classify" else ())],
        "run": done.record() | {"quarantined": len(done.quarantined)},
    }
    if task == "classify":
        perfect = expected_calibration_error(judged.predicted, seed=seed)
        result["rows"].insert(4, row("ECE of perfect calibration", perfect, series="all lenses"))
    return write_result(directory / "result.json", result, computed=bool(done.objects))


def _predictions_of(path: Path, known: xr.Dataset) -> xr.Dataset:
    """Open predictions of the lenses that are known."""
    found = open_store(path)
    if found.attrs["schema"] != "lens_predictions":
        raise InputError(f"{path}: a store of {found.attrs['schema']}; expected one of lens_predictions")
    require_finished(path, "lensdask stronglens classify")
    if not np.array_equal(found["lens"], known["lens"]):
        raise InputError(f"{path}: ids of other lenses; expected those of the truth")
    if found.attrs["lenses_hash"] != known.attrs["configuration_hash"]:
        raise InputError(f"{path}: made of other lenses; expected predictions of the truth")
    # Simulations of one configuration share their lenses, however many of them they have.
    if known.attrs["configuration_hash"] in found.attrs["trained_on"]:
        raise InputError(f"{path}: by a network that learned from these lenses; expected lenses of another seed")
    return found


def _missing(judged: Judged, task: str) -> list[str]:
    """Return the line that tells of classes without lenses, if there are any."""
    absent = [name for number, name in enumerate(CLASSES) if not (judged.true == number).any()]
    if task == "mass" or not absent:
        return []
    return [f"no lens is {' or '.join(absent)}: areas under curves are those of the other classes"]


def _score_rows(task: str, judged: Judged, done: RunResult) -> list[Row]:
    table = np.concatenate([np.zeros((0, len(score_names(task)))), *(s["scores"] for s in done.sums if s is not None)])
    rows = []
    for score, value, column in zip(score_names(task), scores(task, judged), table.T, strict=True):
        # A resampling may miss a class.
        drawn = column[np.isfinite(column)]
        low, high = np.quantile(drawn, [0.025, 0.975]).tolist() if len(drawn) else (None, None)
        error = float(drawn.std()) if len(drawn) else None
        rows.append(row(score.quantity, value, error, unit=score.unit, series=score.series, low=low, high=high))
    return rows


def _curve_rows(judged: Judged) -> list[Row]:
    """Return the points of the reliability diagram, and of the curve of each class."""
    rows = []
    for confidence, share, error in reliability(judged.predicted, judged.true.astype(np.int64)):
        rows.append(row("share right", share, error, series="reliability", x=float(confidence)))
    for number, name in enumerate(CLASSES):
        member = judged.true == number
        if member.any() and not member.all():
            for x, y in zip(*roc_curve(judged.predicted[:, number], member), strict=True):
                rows.append(row("true positives", y, series=name, x=float(x)))
    return rows
