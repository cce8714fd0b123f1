"""Estimators and cuts compared on the same galaxies, in one pass.

Each galaxy is simulated once and measured with every estimator, under every cut. Only block sums are kept; since all
of them are of the same blocks, the error of a ratio of two estimators follows from resampling both at once, and is
smaller than the errors of either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lensdask.compute import Chunks, RunOptions, RunResult, run
from lensdask.errors import InputError
from lensdask.shear.calibration.estimate import Bias, bias_of_sums
from lensdask.shear.calibration.selection import Selection
from lensdask.shear.calibration.shape_sums import check_selected, shape_noise
from lensdask.shear.runs import blocks_and_tasks
from lensdask.shear.shapes.columns import check_width
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.simulation.catsim import MAGNITUDE_LIMIT
from lensdask.shear.simulation.observation import Observation
from lensdask.shear.simulation.simulated import galaxy_source
from lensdask.shear.tasks import CompareEstimators
from lensdask.stats import bootstrap_error

__all__ = ["Comparison", "compare"]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """Several estimators and cuts on the same simulated galaxies."""

    run: RunResult
    """Counts, times and quarantined chunks."""
    estimators: tuple[str, ...]
    """Names, as they were given."""
    selections: tuple[Selection | None, ...]
    """Cuts, as they were given."""
    sums: Float64
    """Block sums, shape (block, estimator, selection, 4, statistic)."""
    shear: float
    """Amplitude g of the four shears."""
    seed: int
    """Seed of the bootstrap, the same for all: differences of two estimators are not blurred by it."""
    replicas: int
    """Resamplings of the bootstrap."""

    def bias(self, estimator: str | Path, selection: int = 0, corrected: bool = True) -> Bias:
        """Return m, c and shape noise of one estimator under one cut.

        Parameters
        ----------
        estimator
            As it was given.
        selection
            Position among the selections.
        corrected
            Whether the response contains that of the cut.

        Raises
        ------
        InputError
            There is no such estimator or selection, or the cut keeps too few galaxies.
        """
        sums = self._sums_of(estimator, selection)
        return bias_of_sums(sums, self.shear, seed=self.seed, replicas=self.replicas, corrected=corrected)

    def shape_noise_ratio(
        self, estimator: str | Path, reference: str | Path, selection: int = 0
    ) -> tuple[float, float]:
        """Return the shape noise of an estimator over that of another, mean of both components, and its error.

        Parameters
        ----------
        estimator, reference
            As they were given.
        selection
            Position among the selections.

        Returns
        -------
        value, error
            The error is that of a joint bootstrap: shape noise that both share drops out of it.

        Raises
        ------
        InputError
            As for `bias`.
        """
        both = np.stack([self._sums_of(name, selection) for name in (estimator, reference)], axis=1)
        check_selected(both)

        def ratio(totals: Float64) -> Float64:
            noise = shape_noise(totals.reshape(*totals.shape[:-1], *both.shape[1:])).mean(axis=-1)
            return np.asarray(noise[..., :1] / noise[..., 1:])

        table = both.reshape(len(both), -1)
        error = bootstrap_error(table, ratio, seed=self.seed, replicas=self.replicas)
        return float(ratio(table.sum(axis=0))[0]), float(error[0])

    def _sums_of(self, estimator: str | Path, selection: int) -> Float64:
        if str(estimator) not in self.estimators:
            raise InputError(f"estimator {str(estimator)!r} was not compared; expected {', '.join(self.estimators)}")
        if not 0 <= selection < len(self.selections):
            raise InputError(f"selection {selection}; expected 0 to {len(self.selections) - 1}")
        return np.asarray(self.sums[:, self.estimators.index(str(estimator)), selection])


def compare(
    directory: Path,
    *,
    galaxies: int,
    estimators: Sequence[str | Path],
    selections: Sequence[Selection | None] = (None,),
    observation: Observation | None = None,
    catalogue: Path | None = None,
    magnitude_limit: float = MAGNITUDE_LIMIT,
    seed: int = 0,
    galaxies_per_task: int | None = None,
    replicas: int = 1000,
    options: RunOptions | None = None,
) -> Comparison:
    """Test the bias of several estimators under several cuts, all on the same galaxies under four shears.

    Parameters
    ----------
    directory
        Gets the journal, from which an interrupted comparison is resumed.
    galaxies
        Number of galaxies, even.
    estimators
        Names as for `lensdask.shear.find_estimator`.
    selections
        Cuts on what is measured; None keeps all galaxies. The flux is the same for all estimators.
    observation, catalogue, magnitude_limit, seed
        Of the simulation, as in `lensdask.shear.simulate_run`.
    galaxies_per_task
        Rounded up to whole blocks of the bootstrap, chosen when none; does not change the result.
    replicas
        Bootstrap resamplings.
    options
        Cluster, device, resumption.

    Raises
    ------
    InputError
        An earlier comparison is in the way, an input is not acceptable, or every chunk was given up.
    """
    observation = observation or Observation()
    names = tuple(map(str, estimators))
    if not names or not selections or len(set(names)) < len(names):
        raise InputError(f"estimators: {', '.join(names) or 'none'}; expected distinct ones, and at least one cut")
    chosen = tuple(find_estimator(name) for name in estimators)
    for one in chosen:
        check_width(one, observation.size, observation.pixel_scale)
    per_block, chunk = blocks_and_tasks(galaxies, galaxies_per_task)
    source = galaxy_source(catalogue, magnitude_limit)
    task = CompareEstimators(observation, source, seed, chosen, tuple(selections), per_block)
    journal, label = directory / "comparison.journal.jsonl", f"compare {' '.join(names)}"
    result = run(task, Chunks(galaxies, chunk, "galaxies"), journal, options, label=label)
    sums = [s["shapes"] for s in result.sums if s is not None]
    if not sums:
        raise InputError(f"{directory}: every chunk was given up; expected some ({result.quarantined[0].reason})")
    return Comparison(result, names, tuple(selections), np.concatenate(sums), observation.shear, seed, replicas)
