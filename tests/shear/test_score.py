"""Training by score: the objective against toy populations whose score is known, the set against re-rendering."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lensdask.data import load_card
from lensdask.errors import InputError
from lensdask.random import Stream
from lensdask.shear import read_recipe, train
from lensdask.shear.networks.recipe import Recipe
from lensdask.shear.networks.score import ScoreConfig, ScoreSet, make_score_set, noise_factor, score_objective
from lensdask.shear.noise import draw_noise
from lensdask.shear.shapes.d4cnn import D4CNNConfig
from lensdask.shear.shapes.resmooth import Grid, make_resmoother, resmooth
from lensdask.shear.simulation.catsim import MockCatSim, mock_galaxies
from lensdask.shear.simulation.observation import Observation, draw_psf, draw_stamps
from lensdask.training import Batch, TrainingConfig

GRID = Grid(8, 0.6)
IDS = 2 * np.arange(6, dtype=np.int64)
LOOSE = ScoreConfig(linearity=0.0, mean_linearity=0.0)


@pytest.fixture(scope="module")
def dataset() -> ScoreSet:
    return make_score_set(MockCatSim(), IDS, grid=GRID, kernel_fwhm=0.85, config=ScoreConfig(), seed=4)


class Polynomial(nn.Module):
    """e_i = linear x + cubic x³ of a one-pixel image x, for both components."""

    def __init__(self, linear: float, cubic: float = 0.0) -> None:
        super().__init__()
        self.linear, self.cubic = linear, cubic

    def forward(self, images: Tensor) -> Tensor:
        x = images[:, 0, 0]
        return torch.stack([self.linear * x + self.cubic * x**3] * 2, dim=-1)


def toy(values: np.ndarray, config: ScoreConfig) -> Batch:
    """Return one-pixel images x + g under the four shears g of a batch."""
    shears = np.array([config.step, -config.step, config.shear, -config.shear])
    images = torch.from_numpy((values[:, None] + shears)[..., None, None])
    return images, torch.arange(len(values)) % 2


def test_best_estimator_is_the_score() -> None:
    # Data x ~ N(g, 0.3²) have the score x / 0.3²; no loss of another slope is smaller.
    values = np.random.default_rng(0).normal(0, 0.3, 100_000)
    slopes = np.linspace(0.2, 0.8, 121)
    losses = [float(score_objective(Polynomial(w), toy(values, LOOSE), LOOSE)) for w in slopes]
    best = LOOSE.amplitude / (np.mean(values**2) + LOOSE.step**2)
    assert slopes[int(np.argmin(losses))] == pytest.approx(best, abs=0.005)
    assert best == pytest.approx(LOOSE.amplitude / 0.3**2, rel=0.03)


def test_score_of_another_population_beats_the_line() -> None:
    # x = ±0.5 + N(g, 0.3²) has the score (x - 0.5 tanh(0.5 x / 0.09)) / 0.09, which bends.
    rng = np.random.default_rng(1)
    values = rng.choice([-0.5, 0.5], 100_000) + rng.normal(0, 0.3, 100_000)

    class Score(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            x = images[:, 0, 0]
            return torch.stack([LOOSE.amplitude * (x - 0.5 * torch.tanh(0.5 * x / 0.09)) / 0.09] * 2, dim=-1)

    batch = toy(values, LOOSE)
    line = min(float(score_objective(Polynomial(w), batch, LOOSE)) for w in np.linspace(0, 1, 101))
    assert float(score_objective(Score(), batch, LOOSE)) < line - 0.05


def test_bend_is_counted_per_galaxy_and_on_average() -> None:
    # (x + g)³ - (x - g)³ over 2 g is 3 x² + g²; what leaves no m is R (1 + S² / 2).
    values = np.random.default_rng(2).normal(0, 0.3, 64)
    config = ScoreConfig(linearity=2.0, mean_linearity=3.0)
    batch = toy(values, config)
    straight = float(score_objective(Polynomial(0.5, 0.7), batch, LOOSE))
    s, S = config.step, config.shear
    bend = 0.7 * (S**2 - s**2) - (0.5 + 0.7 * (3 * values**2 + s**2)) * S**2 / 2
    of_mean = bend[::2].mean() * bend[1::2].mean() * len(values)
    expected = straight + 2 * np.mean(bend**2) + 3 * of_mean
    assert float(score_objective(Polynomial(0.5, 0.7), batch, config)) == pytest.approx(expected, rel=1e-6)


def test_cubic_of_one_half_leaves_no_bend_and_no_m() -> None:
    # e = g + A g³ of a galaxy without ellipticity of its own, and its response to a shear on top of g.
    config = ScoreConfig(step=1e-3, linearity=1.0)
    batch = toy(np.zeros(8), config)
    bends = [
        float(score_objective(Polynomial(1.0, A), batch, config) - score_objective(Polynomial(1.0, A), batch, LOOSE))
        for A in (0.3, 0.5, 0.7)
    ]
    assert bends[1] < 1e-3 * min(bends[0], bends[2])

    def m(A: float, g: float = 0.02, d: float = 1e-5) -> float:
        def e(shear: float) -> float:
            return shear + A * shear**3

        on_top = [(g + sign * d) / (1 + g * sign * d) for sign in (1, -1)]
        return e(g) / g / ((e(on_top[0]) - e(on_top[1])) / (2 * d)) - 1

    assert m(0.5) == pytest.approx(0, abs=1e-6)
    assert m(-1.0) == pytest.approx(3 * 0.02**2, rel=0.02)


def test_scatter_of_the_bend_is_not_taken_for_its_mean() -> None:
    # Odd galaxies bend up and even ones down by chance: the mean term is zero on average, its square is not.
    class Random(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.stack([torch.randn(len(images), dtype=torch.float64)] * 2, dim=-1)

    torch.manual_seed(3)
    with_mean, without = ScoreConfig(linearity=0.0, mean_linearity=1.0), LOOSE
    batch = toy(np.zeros(50), LOOSE)
    found = []
    for _ in range(400):
        state = torch.get_rng_state()
        plain = float(score_objective(Random(), batch, without))
        torch.set_rng_state(state)
        found.append(float(score_objective(Random(), batch, with_mean)) - plain)
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


def test_planes_are_those_of_re_rendered_galaxies(dataset) -> None:
    observation = Observation()
    resmoother = make_resmoother(draw_psf(observation), pixel_scale=0.2, grid=GRID)

    def rendered(*shear: float) -> np.ndarray:
        stamps = draw_stamps(mock_galaxies(4, IDS // 2), IDS, observation, 4, np.array([shear]))[:, 0]
        return resmooth(stamps.astype(np.float64), resmoother).value

    step = 0.01
    peak = np.abs(dataset.planes[:, 0]).max(axis=(-2, -1), keepdims=True)
    expected = {
        0: rendered(0, 0),
        1: (rendered(step, 0) - rendered(-step, 0)) / (2 * step),
        2: (rendered(0, step) - rendered(0, -step)) / (2 * step),
        3: rendered(0.1, 0),
        4: rendered(-0.1, 0),
        5: rendered(0, 0.1),
        6: rendered(0, -0.1),
    }
    for plane, image in expected.items():
        # The sheared light of the wings comes from outside the stamp, and GalSim draws to 1e-3.
        assert np.abs(dataset.planes[:, plane] - image).max() < 5e-3 * peak.max(), plane


def test_noise_factor_is_that_of_drawn_noise() -> None:
    observation = Observation(psf_e1=0.1)
    resmoother = make_resmoother(draw_psf(observation), pixel_scale=0.2, grid=Grid(4, 0.6))
    ids = np.arange(4000)
    image, renoise = (draw_noise(ids, 64, 0.594, 0, stream) for stream in (Stream.NOISE, Stream.RENOISE))
    drawn = np.asarray(resmooth(image, resmoother, renoise).value, dtype=np.float64).reshape(len(ids), -1)
    factor = noise_factor(resmoother, 0.594).astype(np.float64)
    expected, found = factor @ factor.T, drawn.T @ drawn / len(ids)
    # The covariance of n draws scatters by sqrt((C_ii C_jj + C_ij²) / n).
    scatter = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / len(ids))
    assert np.abs((found - expected) / scatter).max() < 4.5
    assert np.sqrt(np.mean(((found - expected) / scatter) ** 2)) == pytest.approx(1, abs=0.35)


def test_batches_hold_one_noise_under_four_shears(dataset) -> None:
    images, component = (torch.cat(parts) for parts in zip(*dataset.batches(0, 4), strict=True))
    assert images.shape == (6, 4, 8, 8)
    assert images.dtype == torch.float32
    assert set(component.tolist()) <= {0, 1}
    differences = (images[:, 2] - images[:, 3]).numpy()
    planes = dataset.planes
    possible = np.concatenate([planes[:, 3] - planes[:, 4], planes[:, 5] - planes[:, 6]])
    for difference in differences:
        assert np.abs(possible - difference).max(axis=(1, 2)).min() < 1e-4
    again = torch.cat([batch[0] for batch in dataset.batches(0, 4)])
    assert torch.equal(images, again)
    assert not torch.equal(images, torch.cat([batch[0] for batch in dataset.batches(1, 4)]))


def test_noise_has_the_strength_asked_for(dataset) -> None:
    empty = replace(dataset, planes=np.zeros((2000, *dataset.planes.shape[1:]), np.float32))
    images = np.concatenate([batch[0][:, 0].numpy() for batch in empty.batches(0, 500)])
    survey = np.diag(dataset.noise.astype(np.float64) @ dataset.noise.T).mean()
    # 40 % at full strength and 60 % uniform from 0 to 1, whose mean square is a third.
    assert np.mean(images.astype(np.float64) ** 2) / survey == pytest.approx(0.4 + 0.6 / 3, rel=0.05)


@pytest.mark.parametrize("changes", [{"amplitude": 0.0}, {"step": 0.2}, {"linearity": -1.0}, {"survey_share": 1.5}])
def test_impossible_settings_are_refused(changes) -> None:
    with pytest.raises(InputError, match=next(iter(changes))):
        ScoreConfig(**changes)


def test_training_by_score_lowers_the_loss_and_is_on_the_card(tmp_path: Path) -> None:
    recipe = Recipe(
        network=D4CNNConfig(channels=(4, 8), strides=(1, 2), residual=1.0, hidden=8, grid_points=16, grid_spacing=0.5),
        training=TrainingConfig(epochs=4, batch=20, learning_rate=5e-3, validate_every=5, schedule="cosine"),
        label="score",
        score=ScoreConfig(survey_share=0.2),
        galaxies=200,
        validation=50,
    )
    history = train(tmp_path / "score.safetensors", recipe, device="cpu").history
    assert min(history.validation) < history.validation[0] - 0.02
    card = load_card(tmp_path / "score.safetensors")
    assert card["recipe"]["label"] == "score"
    assert card["recipe"]["score"]["survey_share"] == 0.2


def test_recipe_takes_a_score_table(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('label = "score"\n[score]\nlinearity = 3.0\n[training]\nschedule = "cosine"\n')
    assert read_recipe(file).score == ScoreConfig(linearity=3.0)
    file.write_text("[score]\nlinearty = 3.0\n")
    with pytest.raises(InputError, match="linearty"):
        read_recipe(file)
