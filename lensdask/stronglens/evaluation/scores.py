"""The numbers by which predictions of strong lenses are judged, all at once, and the curves behind them.

Scores come as one array, whose order `score_names` tells, so that resampled lenses can be scored a thousand times.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.stronglens.evaluation.metrics import accuracy, calibration_error, class_auc, mass_errors, mean_nll
from lensdask.stronglens.nets.loss import CLASSES, LOG10_MASS

__all__ = ["Judged", "Score", "reliability", "roc_curve", "score_names", "scores"]

Float64 = npt.NDArray[np.float64]

_EDGES = np.array([-np.inf, -23.5, -23.0, -22.5, np.inf])
"""Of the bins of the true mass."""

_EVERY = np.array([-np.inf, np.inf])

_BINS = ("below -23.5", "-23.5 to -23", "-23 to -22.5", "above -22.5")

_OF_MASSES = ("RMSE", "MAE", "RMSE of a constant", "MAE of a constant", "share within 1 sigma")

_FALSE = np.concatenate([[0.0], np.geomspace(1e-3, 1.0, 49)])
"""Shares of false positives at which a curve is given: most of it is at small ones."""


class Judged(NamedTuple):
    """What was predicted, and the truth; of masses only lenses that have one.

    Parameters
    ----------
    predicted
        Probabilities, shape (lens, class); or log10 (m / eV) and its error, shape (lens, 2).
    true
        Labels 0, 1, 2, or log10 (m / eV), shape (lens,).
    """

    predicted: Float64
    true: npt.NDArray[Any]

    def rows(self, rows: npt.NDArray[np.int64]) -> "Judged":
        """Return some of the lenses."""
        return Judged(self.predicted[rows], self.true[rows])


class Score(NamedTuple):
    """What a number is.

    Parameters
    ----------
    quantity
        Its name.
    series
        The lenses that it is of.
    unit
        Its unit.
    """

    quantity: str
    series: str = "all lenses"
    unit: str = "1"


def score_names(task: str) -> list[Score]:
    """Return what the numbers of `scores` are, in order.

    Parameters
    ----------
    task
        "classify" or "mass".
    """
    if task == "mass":
        units = dict.fromkeys(_OF_MASSES, "dex") | {_OF_MASSES[-1]: "1"}
        return [Score(name, series, units[name]) for series in ("all lenses", *_BINS) for name in _OF_MASSES]
    whole = [Score("accuracy"), Score("macro AUC"), Score("NLL", unit="nat"), Score("ECE")]
    confusion = [Score(f"called {name}", true) for true in CLASSES for name in CLASSES]
    return whole + [Score("AUC", name) for name in CLASSES] + confusion


def scores(task: str, judged: Judged) -> Float64:
    """Return the numbers of predictions; NaN where a class or a bin has no lens.

    Of classes: accuracy; area under the curve of true against false positives, mean over the classes that there are;
    mean -ln p of the true class; expected calibration error in ten bins of equal numbers (see `calibration_error`); the
    area of each class against the others; and by true class the shares that are called each class, the confusion
    matrix. Of masses, for all lenses and by bin of the true mass: root mean square and mean absolute error; those of
    the middle of the prior, log10 (m / eV) = -23, in the place of the prediction; the share of lenses whose error is
    less than predicted, 0.683 for errors that are right.
    """
    return _of_masses(judged) if task == "mass" else _of_classes(judged)


def _of_classes(judged: Judged) -> Float64:
    probability, label = judged.predicted, judged.true.astype(np.int64)
    areas = np.array([class_auc(probability[:, number], label == number) for number in range(len(CLASSES))])
    known = areas[np.isfinite(areas)]
    whole = [
        accuracy(probability, label),
        known.mean() if len(known) else np.nan,
        mean_nll(probability, label),
        calibration_error(probability, label),
    ]
    pairs = np.bincount(len(CLASSES) * label + probability.argmax(1), minlength=len(CLASSES) ** 2)
    counts = pairs.reshape(len(CLASSES), len(CLASSES)).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.concatenate([whole, areas, (counts / counts.sum(1, keepdims=True)).ravel()])


def _of_masses(judged: Judged) -> Float64:
    (predicted, error), true = judged.predicted.T, judged.true.astype(np.float64)
    constant, hit = np.full_like(true, np.mean(LOG10_MASS)), abs(predicted - true) <= error
    found = []
    for edges in (_EVERY, _EDGES):
        ours, theirs = mass_errors(predicted, true, edges), mass_errors(constant, true, edges)
        within = np.bincount(np.searchsorted(edges[1:-1], true[hit], side="right"), minlength=len(edges) - 1)
        with np.errstate(invalid="ignore"):
            columns = ours.rmse, ours.mae, theirs.rmse, theirs.mae, within / ours.lenses
        found.append(np.stack(columns, axis=1).ravel())
    return np.concatenate(found)


def roc_curve(probability: Float64, member: npt.NDArray[np.bool_]) -> tuple[Float64, Float64]:
    """Return the shares of false and of true positives of a class, as the least probability that is called so falls.

    Parameters
    ----------
    probability
        Of the class, shape (lens,).
    member
        Whether the lens is of the class, shape (lens,); some are, and some are not.
    """
    order = np.argsort(-probability, kind="stable")
    # Lenses of one probability are called together.
    ends = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    right, wrong = (np.append(0, np.cumsum(part[order])[ends]) / part.sum() for part in (member, ~member))
    return _FALSE, np.interp(_FALSE, wrong, right)


def reliability(probability: Float64, label: npt.NDArray[np.int64], bins: int = 10) -> Float64:
    """Return what confidence is worth: by bin mean confidence, share of lenses that are right, its binomial error.

    Parameters
    ----------
    probability, label
        As for `lensdask.stronglens.evaluation.metrics.calibration_error`.
    bins
        Of equal numbers of lenses.

    Returns
    -------
    ndarray
        Shape (bin, 3), by growing confidence.
    """
    confidence, right = probability.max(1), probability.argmax(1) == label
    found = []
    for part in np.array_split(np.argsort(confidence, kind="stable"), bins):
        share = right[part].mean()
        found.append((confidence[part].mean(), share, np.sqrt(share * (1 - share) / len(part))))
    return np.array(found)
