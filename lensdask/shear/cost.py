"""What it costs to measure a stamp."""

import time

import numpy as np

from lensdask.compute.devices import torch_settings
from lensdask.shear.imaging import imaging_of_observation
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.shapes.measurement import measure_stamps
from lensdask.shear.simulation.catsim import mock_galaxies
from lensdask.shear.simulation.observation import Observation
from lensdask.shear.simulation.simulated import observed_stamps

__all__ = ["milliseconds_per_galaxy"]


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
    imaging = imaging_of_observation(observation, ids, 0)
    chosen = find_estimator(name)
    with torch_settings():
        measure_stamps(images, ids, imaging, chosen, seed=0, device=device)  # loads the network, fills caches
        began = time.perf_counter()
        measure_stamps(images, ids, imaging, chosen, seed=0, device=device)
    return 1e3 * (time.perf_counter() - began) / stamps
