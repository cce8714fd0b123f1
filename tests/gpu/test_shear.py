"""Own PSFs, correlated noise, training and a cluster of GPUs give what the CPU gives."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from lensdask.arrays import to_numpy, to_torch
from lensdask.shear import Imaging, Observation, RunOptions, find_estimator, measure_stamps, mock_galaxies, run_bias
from lensdask.shear.imaging import imaging_of_observation
from lensdask.shear.shapes.d4cnn import D4CNN, D4CNNConfig
from lensdask.shear.simulation.observation import draw_psfs
from lensdask.shear.simulation.simulated import observed_stamps
from lensdask.training import TrainingConfig, train

IDS = np.arange(12)
ROWS = mock_galaxies(3, IDS // 2)
CORRELATED = Observation(noise="exchanged", noise_fwhm=0.5, noise_e1=0.2)


@pytest.fixture(scope="module")
def on_the_cpu():
    """Return stamps that the CPU makes of an observation."""
    return {CORRELATED: observed_stamps(ROWS, IDS, CORRELATED, 3)}


@pytest.mark.parametrize("estimator", ["fpfs", "d4cnn"])
def test_a_psf_for_each_galaxy(device, on_the_cpu, estimator):
    psf = draw_psfs(Observation(psfs=len(IDS), psf_scatter=0.05), 3)
    imaging, chosen = Imaging(psf, 0.2, CORRELATED.noise_sigma), find_estimator(estimator)
    images = on_the_cpu[CORRELATED]
    there = measure_stamps(images, IDS, imaging, chosen, seed=3, device=device)
    # One galaxy at a time, with a PSF that is prepared by NumPy.
    for i in (0, 7):
        alone = Imaging(psf[i], 0.2, CORRELATED.noise_sigma)
        here = measure_stamps(images[i : i + 1], IDS[i : i + 1], alone, chosen, seed=3)
        np.testing.assert_allclose(there[i : i + 1], here, rtol=1e-4, atol=3e-5 * np.abs(here).max())


@pytest.mark.parametrize("estimator", ["fpfs", "d4cnn"])
def test_correlated_noise(device, on_the_cpu, estimator):
    imaging, chosen = imaging_of_observation(CORRELATED, IDS, 3), find_estimator(estimator)
    here = on_the_cpu[CORRELATED]
    there = observed_stamps(ROWS, IDS, CORRELATED, 3, device)
    assert there.device.type == device
    np.testing.assert_allclose(to_numpy(there), here, atol=2e-5 * np.abs(here).max())
    found = [measure_stamps(images, IDS, imaging, chosen, seed=3, device=device) for images in (here, there)]
    np.testing.assert_allclose(*found, rtol=1e-4, atol=3e-5 * np.abs(found[0]).max())


def test_an_epoch_of_training(device):
    config = D4CNNConfig(channels=(4, 8), strides=(1, 2), hidden=8, grid_points=16, grid_spacing=0.4)
    losses = []
    for where in ("cpu", device):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            network, images, labels = D4CNN(config), 10 * torch.randn(64, 16, 16), 0.3 * torch.randn(64, 2)
        batches = [
            tuple(to_torch(part, where) for part in parts)
            for parts in zip(images.split(16), labels.split(16), strict=True)
        ]
        settings = TrainingConfig(epochs=3, batch=16, micro_batch=16, learning_rate=3e-3)
        history = train(network.to(where), lambda _, given=batches: given, batches, settings)
        losses.append(history.training)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    assert all(later < before for before, later in pairwise(losses[1]))


def test_a_cluster_gives_the_bits_of_one_process(device, tmp_path):
    if device == "cuda":
        pytest.importorskip("dask_cuda")
    cluster = {"cpu": "threads", "cuda": "cuda"}[device]
    runs = [
        run_bias(
            tmp_path / str(number),
            galaxies=64,
            galaxies_per_task=16,
            estimator="fpfs",
            options=RunOptions(cluster=where, workers=1 if where else None, device=device, show_progress=False),
        )
        for number, where in enumerate((None, cluster))
    ]
    np.testing.assert_array_equal(runs[0].bias.values, runs[1].bias.values)
