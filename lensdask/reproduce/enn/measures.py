"""What is measured of predictions, with the scatter over resamplings of the lenses and of the trainings."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.compute import Row, row
from lensdask.data import open as open_store
from lensdask.random import Stream, generator
from lensdask.reproduce.enn.study import Lenses, Lesson, Study

__all__ = ["LEVEL", "Bootstrapped", "Predicted", "bootstrapped", "predicted", "row_of"]

Float64 = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

LEVEL = 0.95
"""Of all intervals."""


class Predicted(NamedTuple):
    """What a network says of lenses for tests, and the truth.

    Parameters
    ----------
    said
        Probabilities, shape (lens, class); of a network for masses log10 m, shape (lens,).
    label
        True classes, shape (lens,).
    log10_true
        True masses, NaN without a vortex, shape (lens,).
    """

    said: Float64
    label: Labels
    log10_true: Float64


def predicted(study: Study, lesson: Lesson, kind: Lenses | None = None, angle: float = 0.0) -> Predicted:
    """Return the predictions of a trained network.

    Parameters
    ----------
    study, lesson, kind, angle
        As for `Study.predictions`.
    """
    with (
        open_store(study.predictions(lesson, kind, angle)) as found,
        open_store(study.lenses(kind or lesson.lenses, tests=True, angle=angle)) as true,
    ):
        name = "probability" if "probability" in found else "log10_mass"
        said, mass = (each.to_numpy().astype(np.float64) for each in (found[name], true["log10_mass"]))
        return Predicted(said, true["label"].to_numpy().astype(np.int64), mass)


@dataclass(frozen=True)
class Bootstrapped:
    """A number, and what it is over resamplings."""

    value: float
    """Of all lenses."""
    replicas: Float64
    """Of each resampling, shape (replica,)."""

    def __sub__(self, other: "Bootstrapped") -> "Bootstrapped":
        """Return a difference, resampling by resampling: both must be of the same lenses and as many trainings."""
        return Bootstrapped(self.value - other.value, self.replicas - other.replicas)

    @property
    def error(self) -> float:
        """Standard deviation; infinite where a resampling is."""
        return float(self.replicas.std(ddof=1)) if np.isfinite(self.replicas).all() else math.inf

    @property
    def interval(self) -> tuple[float, float]:
        """Where the share `LEVEL` of the resamplings is."""
        # Without interpolation, since some may be infinite.
        low, high = np.quantile(self.replicas, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
        return float(low), float(high)


def bootstrapped(
    statistic: Callable[..., float], trainings: Sequence[Sequence[Any]], *, replicas: int, seed: int
) -> Bootstrapped:
    """Return the mean of a statistic over trainings, and over resamplings of lenses and of trainings with replacement.

    Parameters
    ----------
    statistic
        Of arrays of one row for each lens.
    trainings
        Of each training its arrays, all of the same lenses.
    replicas
        Resamplings.
    seed
        Of them: the same seed, lenses and number of trainings are resampled alike.
    """
    random, lenses = generator(seed, Stream.BOOTSTRAP, 2), len(trainings[0][0])
    values = []
    for _ in range(replicas):
        rows, which = random.integers(lenses, size=lenses), random.integers(len(trainings), size=len(trainings))
        found = {k: statistic(*(each[rows] for each in trainings[k])) for k in set(which.tolist())}
        values.append(np.mean([found[k] for k in which.tolist()]))
    return Bootstrapped(float(np.mean([statistic(*arrays) for arrays in trainings])), np.array(values))


def row_of(quantity: str, found: Bootstrapped, **more: Any) -> Row:
    """Return a row with the interval beside the error.

    Parameters
    ----------
    quantity
        What was measured.
    found
        Its value.
    **more
        As for `lensdask.compute.row`.
    """
    low, high = (end if math.isfinite(end) else None for end in found.interval)
    return row(quantity, found.value, found.error, low=low, high=high, **more)
