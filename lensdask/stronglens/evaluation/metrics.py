"""How good class probabilities and masses are: accuracy, areas under curves, likelihood, calibration, intervals.

Functions of plain arrays: probabilities or logits (lens, class), labels (lens) that count the classes from 0.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax
from scipy.stats import rankdata

from lensdask.errors import InputError, check_number
from lensdask.random import Stream, generator

__all__ = [
    "MassErrors",
    "accuracy",
    "bootstrap_interval",
    "calibration_error",
    "class_auc",
    "expected_calibration_error",
    "fit_calibration",
    "macro_auc",
    "mass_errors",
    "mean_nll",
]

Float64 = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_SMALLEST = 1e-300
"""Probability that a logarithm is taken of at the least."""


class MassErrors(NamedTuple):
    """Errors of masses by bin of the true one.

    Parameters
    ----------
    lenses
        How many, shape (bin,).
    rmse, mae
        Root of the mean square error, mean absolute error, dex; NaN for an empty bin.
    """

    lenses: Labels
    rmse: Float64
    mae: Float64


def accuracy(probability: Float64, label: Labels) -> float:
    """Return the share of lenses whose most probable class is the true one."""
    return float((probability.argmax(1) == label).mean())


def mean_nll(probability: Float64, label: Labels) -> float:
    """Return the mean of -ln p of the true class, nats."""
    chosen = probability[np.arange(len(label)), label]
    return float(-np.log(np.maximum(chosen, _SMALLEST)).mean())


def macro_auc(probability: Float64, label: Labels) -> float:
    """Return the area under the curve of true against false positives, one class to all others, mean over classes.

    The area is the chance that a lens of the class has a higher probability of it than one of another class, half
    where they are equal: a sum of ranks (Mann & Whitney 1947).

    Raises
    ------
    InputError
        A class has no lens, or all.
    """
    areas = []
    for number in range(probability.shape[1]):
        inside = int((label == number).sum())
        if inside in (0, len(label)):
            outside = len(label) - inside
            raise InputError(
                f"macro_auc: {inside} lenses of class {number}, {outside} of others; expected some of both"
            )
        areas.append(class_auc(probability[:, number], label == number))
    return float(np.mean(areas))


def class_auc(probability: Float64, member: npt.NDArray[np.bool_]) -> float:
    """Return the area under the curve of one class against all others, see `macro_auc`.

    Parameters
    ----------
    probability
        Of the class, shape (lens,).
    member
        Whether the lens is of the class, shape (lens,); NaN is returned where none is, or all are.
    """
    inside, outside = int(member.sum()), int((~member).sum())
    if not inside or not outside:
        return float("nan")
    ranks = rankdata(probability)[member].sum()
    return float((ranks - inside * (inside + 1) / 2) / (inside * outside))


def calibration_error(probability: Float64, label: Labels, bins: int = 10) -> float:
    """Return the expected calibration error: how far confidence is from accuracy, |mean p - share right|, in bins.

    Parameters
    ----------
    probability, label
        See above; the confidence is the probability of the most probable class.
    bins
        Bins of confidence, of equal numbers of lenses to 1; the mean over them is weighted by these numbers.

    Raises
    ------
    InputError
        There are fewer lenses than bins.
    """
    check_number("bins", bins, least=1, most=len(label), whole=True)
    confidence = probability.max(1)
    excess = confidence - (probability.argmax(1) == label)
    order = np.argsort(confidence, kind="stable")
    return float(sum(abs(part.sum()) for part in np.array_split(excess[order], bins)) / len(label))


def expected_calibration_error(probability: Float64, *, seed: int, bins: int = 10, replicas: int = 200) -> float:
    """Return the mean calibration error of a perfectly calibrated network: chance alone, with so many lenses.

    Parameters
    ----------
    probability
        See above; labels are drawn from it.
    seed
        Of the draws.
    bins
        As for `calibration_error`.
    replicas
        Number of draws.
    """
    random, cumulative = generator(seed, Stream.BOOTSTRAP, 0), probability.cumsum(1)
    errors = []
    for _ in range(replicas):
        drawn = (random.random(len(probability))[:, None] * cumulative[:, -1:] >= cumulative).sum(1)
        errors.append(calibration_error(probability, drawn, bins))
    return float(np.mean(errors))


def fit_calibration(logits: Float64, label: Labels) -> tuple[float, Float64]:
    """Return the temperature T and offsets b, one a class, for which softmax(logits / T + b) is most likely.

    Bias-corrected temperature scaling (Alexandari et al. 2020). An offset has a normal prior of width 1, which matters
    for few lenses alone; T is between 0.01 and 100. Fit them on validation lenses, not on those that are tested.

    Parameters
    ----------
    logits, label
        See above.
    """
    count, classes = logits.shape
    wrong = -np.eye(classes)[label]

    def cost(x: Float64) -> tuple[float, Float64]:
        inverse, offsets = np.exp(x[0]), x[1:]
        log_probability = log_softmax(inverse * logits + offsets, axis=1)
        slope = np.exp(log_probability) + wrong
        gradient = np.append(inverse * (slope * logits).sum(), slope.sum(0) + offsets) / count
        return ((wrong * log_probability).sum() + (offsets**2).sum() / 2) / count, gradient

    bounds = [(np.log(0.01), np.log(100.0)), *[(None, None)] * classes]
    found = minimize(cost, np.zeros(1 + classes), jac=True, method="L-BFGS-B", bounds=bounds, tol=1e-12).x
    return float(np.exp(-found[0])), found[1:]


def bootstrap_interval(
    statistic: Callable[[npt.NDArray[np.int64]], float],
    count: int,
    *,
    seed: int,
    level: float = 0.95,
    replicas: int = 1000,
) -> tuple[float, float]:
    """Return the interval of a statistic over resamplings of the lenses with replacement.

    Parameters
    ----------
    statistic
        From the indices of the lenses of a resampling to a number.
    count
        Lenses.
    seed
        Of the resampling: the same for two networks on the same lenses gives the interval of their difference.
    level
        Share of the resamplings within.
    replicas
        Resamplings.
    """
    check_number("level", level, above=0, below=1)
    random = generator(seed, Stream.BOOTSTRAP, 1)
    values = [statistic(random.integers(count, size=count)) for _ in range(replicas)]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def mass_errors(predicted: Float64, true: Float64, edges: Float64) -> MassErrors:
    """Return errors of masses by bin.

    Parameters
    ----------
    predicted, true
        log10 (m / eV), shape (lens,).
    edges
        Of the bins of the true mass, the last of which includes its end; two edges for all lenses together.
    """
    inside = (true >= edges[0]) & (true <= edges[-1])
    error, true = (predicted - true)[inside], true[inside]
    which = np.minimum(np.searchsorted(edges, true, side="right") - 1, len(edges) - 2)
    count = np.bincount(which, minlength=len(edges) - 1)
    with np.errstate(invalid="ignore"):
        square, absolute = (np.bincount(which, each, len(edges) - 1) / count for each in (error**2, abs(error)))
    return MassErrors(count.astype(np.int64), np.sqrt(square), absolute)
