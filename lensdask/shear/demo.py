"""The main job at a size that a laptop does while one watches: both estimators, with noise and without."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from lensdask.compute import RunOptions, start_cluster
from lensdask.compute.devices import torch_settings
from lensdask.shear.catalogue import mock_galaxies
from lensdask.shear.estimators import find_estimator
from lensdask.shear.instrument import instrument_of_observation
from lensdask.shear.measurement import measure_stamps
from lensdask.shear.runs import run_bias
from lensdask.shear.simulate import Observation
from lensdask.shear.stamps import observed_stamps

__all__ = ["milliseconds_per_galaxy", "run_demo"]

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
                result = json.loads((folder / "result.json").read_text())
                results.append(result | {"experiment": f"{name}, {label}"})
    costs = {name: milliseconds_per_galaxy(name) for name in ESTIMATORS}
    return {"results": results, "ms_per_galaxy": costs, "quarantined": quarantined}


def milliseconds_per_galaxy(name: str, stamps: int = 256, device: str = "cpu") -> float:
    """Return the cost of measuring one stamp with its responses, on one CPU core or on a GPU.

    Parameters
    ----------
    name
        Estimator.
    stamps
        Stamps measured.
    device
        "cpu" or "cuda".
    """
    observation = Observation()
    ids = np.arange(stamps)
    images = observed_stamps(mock_galaxies(0, ids), ids, observation, 0)[:, 0]
    instrument = instrument_of_observation(observation, ids, 0)
    chosen = find_estimator(name)
    with torch_settings():
        measure_stamps(images, ids, instrument, chosen, seed=0, device=device)  # loads the network, fills caches
        began = time.perf_counter()
        measure_stamps(images, ids, instrument, chosen, seed=0, device=device)
    return 1e3 * (time.perf_counter() - began) / stamps
