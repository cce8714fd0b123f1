"""The wide family of training galaxies against GalSim, and the training by score on it."""

from dataclasses import replace

import galsim
import numpy as np
import pytest
import torch

from lensdask.data import load_card
from lensdask.errors import InputError
from lensdask.shear import train
from lensdask.shear.networks.family import INDICES, WIDTHS, Scenes, draw_scenes, resmoothed_scenes, sersic_mixtures
from lensdask.shear.networks.recipe import Recipe, read_recipe
from lensdask.shear.networks.score import ScoreConfig, score_objective
from lensdask.shear.networks.wideset import make_wide_set
from lensdask.shear.shapes.d4cnn import D4CNNConfig
from lensdask.shear.shapes.resmooth import make_resmoother, resmooth
from lensdask.shear.simulation.observation import Observation, draw_profiles, draw_psf
from lensdask.training import TrainingConfig

NETWORK = D4CNNConfig(channels=(4,), strides=(1,), hidden=4, grid_points=12, grid_spacing=0.4, window_fwhm=2.6)
SCORE = ScoreConfig(neighbours=2.0, mean_neighbours=3.0)


def profile(scenes: Scenes, number: int, g, their_g) -> galsim.GSObject:
    parts = []
    for flux, centre, (xx, xy, yy), theirs in zip(
        scenes.flux[number], scenes.centre[number], scenes.covariance[number], scenes.neighbour, strict=True
    ):
        if flux > 0:
            root = np.linalg.cholesky([[xx, xy], [xy, yy]])
            round_one = galsim.Gaussian(sigma=1.0, flux=flux / np.linalg.det(root))
            g1, g2 = their_g if theirs else g
            parts.append(galsim.Transform(round_one, jac=root.ravel()).shift(*centre).shear(g1=g1, g2=g2))
    return galsim.Sum(parts)


def test_images_are_those_of_galsim_and_resmoothing():
    observation = Observation(psf_fwhm=0.7, psf_e1=0.05)
    scenes = draw_scenes(np.random.default_rng(3), 12)
    assert 2 < (scenes.flux[:, scenes.neighbour].sum(1) > 0).sum() < 10
    g, their_g = np.zeros((2, 12, 2, 2))
    g[:, 1], their_g[:, 1] = (0.05, -0.03), (0.0, 0.06)
    made = resmoothed_scenes(
        scenes, g, their_g, grid=NETWORK.grid, sigma=NETWORK.kernel_sigma, pixel_scale=0.2, device="cpu"
    )
    drawn = [profile(scenes, n, g[n, i], their_g[n, i]) for n in range(12) for i in range(2)]
    resmoother = make_resmoother(draw_psf(observation), pixel_scale=0.2, fwhm=NETWORK.kernel_fwhm, grid=NETWORK.grid)
    images = resmooth(draw_profiles(drawn, observation).astype(np.float64), resmoother).value
    # Light of large neighbours leaves a stamp of 12.8 arcsec, and comes in again on the other side.
    worst = np.abs(made.flatten(0, 1).numpy() - images).max((1, 2)) / images.max((1, 2))
    assert np.median(worst) < 2e-5
    assert worst.max() < 3e-3


def test_mixtures_hold_half_the_light_within_the_radius():
    for index, shares in zip(INDICES, sersic_mixtures(), strict=True):
        inside = (shares * (1 - np.exp(-1 / (2 * WIDTHS**2)))).sum()
        assert inside == pytest.approx(0.5, abs=0.065), index
        assert shares.sum() == pytest.approx(1)


def test_batches_are_fresh_in_every_epoch_and_the_same_again():
    dataset = make_wide_set(60, NETWORK, SCORE, 5, "cpu")
    first, again, other = (list(dataset.batches(epoch, 40)) for epoch in (0, 0, 1))
    assert [len(batch[0]) for batch in first] == [40, 20]
    for batch, same, fresh in zip(first, again, other, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(batch, same, strict=True))
        assert not torch.equal(batch[0], fresh[0])
    # Brighter galaxies come later.
    norms = first[0][0][:, 0].flatten(1).norm(dim=1)
    assert norms[20:].median() > norms[:20].median()


def test_the_fifth_image_differs_by_the_shear_of_the_neighbour():
    dataset = make_wide_set(80, NETWORK, replace(SCORE, survey_share=0.0), 6, "cpu")
    images, _, shared = next(dataset.batches(0, 80))
    change = (images[:, 4] - images[:, 2]).abs().amax((1, 2)) / images[:, 2].abs().amax((1, 2))
    alone = change < 1e-7
    assert 20 < alone.sum() < 60
    assert change[~alone].median() > 1e-3
    # The noise is the same in all images: under opposite shears they differ by little.
    opposite = (images[:, 0] - images[:, 1]).abs().amax((1, 2)) / images[:, 0].abs().amax((1, 2))
    assert opposite.median() < 0.1
    assert 20 < shared.sum() < 60


class Still(torch.nn.Module):
    """Sees all light of an image, and a little less of the middle."""

    def forward(self, images):
        e = images.mean((1, 2))
        return torch.stack([e, e], -1)


def test_the_response_to_neighbours_costs():
    images = torch.zeros(4, 5, 2, 2)
    images[:, 4] = 0.1
    component, shared = torch.zeros(4, dtype=torch.int64), torch.tensor([True, False, True, True])
    plain = replace(SCORE, neighbours=0.0, mean_neighbours=0.0)
    found = [
        float(
            score_objective(Still(), (images, component, shared), config)
            - score_objective(Still(), (images, component), plain)
        )
        for config in (plain, replace(plain, neighbours=2.0), replace(plain, mean_neighbours=3.0))
    ]
    # Responses are -1, 1, -1, -1: their square is 1, the means of the halves -1 and 0.
    assert found == pytest.approx([0.0, 2.0, 0.0])


def test_a_network_is_trained_on_the_family(tmp_path):
    training = TrainingConfig(epochs=3, batch=40, micro_batch=20, schedule="cosine", learning_rate=5e-3)
    recipe = Recipe(
        network=NETWORK, training=training, label="score", score=SCORE, population="wide", galaxies=120, validation=40
    )
    history = train(tmp_path / "wide.safetensors", recipe, device="cpu").history
    assert history.validation[-1] < history.validation[0]
    card = load_card(tmp_path / "wide.safetensors")
    assert (card["recipe"]["population"], card["data"]) == ("wide", "wide family of galaxies")
    assert "galaxies" not in card


def test_what_the_family_does_not_go_with(tmp_path):
    with pytest.raises(InputError, match="population: 'wide' with label 'fpfs'; expected label = 'score'"):
        Recipe(population="wide")
    recipe = replace(read_recipe("d4cnn-1"), population="wide")
    with pytest.raises(InputError, match="the recipe's population is 'wide'; expected no catalogue"):
        train(tmp_path / "a.safetensors", recipe, catalogue=tmp_path / "c.fits")
