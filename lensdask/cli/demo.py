"""The main job at a size that a laptop does while one watches: both estimators, with noise and without."""

from pathlib import Path
from typing import Any

from lensdask.compute import RunOptions, start_cluster
from lensdask.places import local_path
from lensdask.shear.cost import milliseconds_per_galaxy
from lensdask.shear.runs import run_bias
from lensdask.shear.simulation.observation import Observation

__all__ = ["run_demo"]

ESTIMATORS = ("d4cnn", "fpfs")
NOISELESS_SHARE = 10
"""Without noise the bias shows with a tenth of the galaxies."""


def run_demo(directory: Path, *, galaxies: int, workers: int | None) -> dict[str, Any]:
    """Measure m, c and shape noise of both estimators at LSST year-10 noise and without noise.

    Parameters
    ----------
    directory
        Gets one directory of results per test; earlier ones are replaced.
    galaxies
        Galaxies of the noisy tests.
    workers
        Workers of the local cluster; one per core when none.

    Returns
    -------
    dict
        ``results``, the content of each ``result.json``; ``ms_per_galaxy`` by estimator; ``quarantined``, the number of
        chunks that were given up.
    """
    directory = local_path(directory, "a directory of results")
    # Exchanged noise: with independent noise this number of galaxies would not tell m from 0.
    noisy, noiseless = Observation(noise="exchanged"), Observation(noise_sigma=0.0)
    fewer = max(400, galaxies // NOISELESS_SHARE // 2 * 2)
    results, quarantined = [], 0
    with start_cluster(workers=workers) as client:
        for label, observation, count in (("year-10 noise", noisy, galaxies), ("noiseless", noiseless, fewer)):
            for name in ESTIMATORS:
                folder = directory / f"{name} {label}".replace(" ", "-")
                options = RunOptions(cluster=client, if_exists="overwrite")
                outcome = run_bias(folder, galaxies=count, estimator=name, observation=observation, options=options)
                quarantined += len(outcome.run.quarantined)
                results.append(outcome.result | {"experiment": f"{name}, {label}"})
    costs = {name: milliseconds_per_galaxy(name) for name in ESTIMATORS}
    return {"results": results, "ms_per_galaxy": costs, "quarantined": quarantined}
