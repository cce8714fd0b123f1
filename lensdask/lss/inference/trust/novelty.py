"""Whether an observation is like the simulations: a p-value that is uniform for more of the same.

Where a summary lies, few or many simulations lie beside it. The statistic is its distance to the tenth nearest of
many simulated summaries, in coordinates in which these have unit covariance; the p-value is the share of simulations,
set aside, that are at least as lonely. It assumes nothing of the distribution.

There are as many summaries as parameters: what a compressor takes for other parameters is not new to it. The same class
takes any other features of maps, such as their spectra.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from lensdask.errors import InputError
from lensdask.random import Stream, generator

__all__ = ["Novelty", "Score"]

Float64 = npt.NDArray[np.float64]

_NEIGHBOUR = 10
_SET_ASIDE = 4000
_MOST = 50_000


class Score(NamedTuple):
    """How unlike the simulations an observation is.

    Parameters
    ----------
    p_value
        Share of the simulations that are as lonely.
    least
        Its smallest value, that of an observation lonelier than all of them.
    """

    p_value: float
    least: float


class Novelty:
    """Out-of-distribution score, learned from simulated features.

    Parameters
    ----------
    features
        Shape (simulation, feature); one fifth, 4000 at the most, is set aside for the p-value.
    seed
        Which are set aside.

    Raises
    ------
    InputError
        There are fewer than 100, or features depend on each other.
    """

    def __init__(self, features: npt.ArrayLike, seed: int = 0) -> None:
        values = np.asarray(features, dtype=np.float64)
        if len(values) < 10 * _NEIGHBOUR:
            raise InputError(f"novelty: {len(values)} simulations; expected at least {10 * _NEIGHBOUR}")
        self._centre = values.mean(axis=0)
        try:
            self._factor = np.linalg.cholesky(np.linalg.inv(np.atleast_2d(np.cov(values.T))))
        except np.linalg.LinAlgError as error:
            raise InputError("novelty: features that depend on each other; expected independent ones") from error
        rows = generator(seed, Stream.CHAIN, 2**62).permutation(len(values))[:_MOST]
        aside = min(_SET_ASIDE, len(rows) // 5)
        self._tree = cKDTree(self._white(values[rows[aside:]]))
        self._known = np.sort(self.distance(values[rows[:aside]]))

    def _white(self, features: Float64) -> Float64:
        return np.asarray((features - self._centre) @ self._factor)

    def distance(self, features: npt.ArrayLike) -> Float64:
        """Return the distance to the tenth nearest simulation, shape (n,), of features, shape (n, feature)."""
        return np.asarray(
            self._tree.query(self._white(np.asarray(features, dtype=np.float64)), k=[_NEIGHBOUR])[0][:, 0]
        )

    def p_value(self, features: npt.ArrayLike) -> Float64:
        """Return the share of simulations that are as lonely, shape (n,); never 0, as the observation counts itself."""
        lonelier = len(self._known) - np.searchsorted(self._known, self.distance(features), side="left")
        return np.asarray((1 + lonelier) / (len(self._known) + 1))

    def score(self, features: npt.ArrayLike) -> Score:
        """Return the score of one observation, shape (feature,)."""
        return Score(float(self.p_value(np.asarray(features)[None])[0]), 1 / (len(self._known) + 1))
