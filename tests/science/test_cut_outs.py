"""Cut-outs of whole pixels, as surveys have them: galaxies lie anywhere in the pixel in the middle, after the shear."""

import pytest

from lensdask.compute import RunOptions
from lensdask.conventions import LSST_Y10_NOISE
from lensdask.shear.runs import run_bias
from lensdask.shear.simulation.observation import Observation

QUIET = RunOptions(show_progress=False, device="cpu")


def bias_of_cut_outs(folder, estimator, galaxies, *, recentre, noise_sigma=0.0):
    observation = Observation(offset="after_shear", noise_sigma=noise_sigma)
    settings = {"estimator": estimator, "observation": observation, "magnitude_limit": 24.5, "seed": 16}
    found = run_bias(folder / str(recentre), galaxies=galaxies, recentre=recentre, **settings, options=QUIET).bias
    where = "about the centroid" if recentre else "about the middle"
    noise = "year-10 noise" if noise_sigma else "no noise"
    numbers = ", ".join(
        f"{name} = {value:+.1e} ± {error:.0e}"
        for name, value, error in zip(("m1", "m2", "c1", "c2"), found.values[:4], found.errors[:4], strict=True)
    )
    print(f"{estimator}, {galaxies} galaxies, {noise}, {where}: {numbers}")
    return found.values[:4], found.errors[:4]


@pytest.mark.science
@pytest.mark.parametrize("estimator", ["fpfs", "d4cnn"])
def test_noiseless_cut_outs_are_unbiased_about_their_centroids(tmp_path, estimator):
    centred, errors = bias_of_cut_outs(tmp_path, estimator, 600, recentre=True)
    assert (abs(centred[:2]) < 1e-3 + 2 * errors[:2]).all()
    assert (abs(centred[2:]) < 1e-7).all()
    middle, _ = bias_of_cut_outs(tmp_path, estimator, 600, recentre=False)
    assert (middle[:2] < -0.03).all()


@pytest.mark.science
def test_noisy_cut_outs_are_unbiased_about_their_centroids(tmp_path):
    centred, errors = bias_of_cut_outs(tmp_path, "fpfs", 60_000, recentre=True, noise_sigma=LSST_Y10_NOISE)
    assert (errors[:2] < 6e-3).all()
    assert (abs(centred) < 3 * errors).all()
    middle, _ = bias_of_cut_outs(tmp_path, "fpfs", 60_000, recentre=False, noise_sigma=LSST_Y10_NOISE)
    assert (middle[:2] < -5 * errors[:2]).all()
