"""The learned likelihood of a toy whose likelihood is known, and how its samples are split."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from lss_toy import PRIOR, log_likelihood, observe, scatter

from lensdask.errors import InputError
from lensdask.lss.inference.likelihood import load_likelihood
from lensdask.lss.inference.training import LikelihoodRecipe, fit_likelihood, likelihood_recipe, split_summaries
from lensdask.lss.inference.trust.accuracy import measure_accuracy


def test_likelihood_is_near_the_true_one(toy_likelihood):
    rng = np.random.default_rng(4)
    theta = PRIOR.sample(400, rng)
    observed = observe(theta, rng)
    # Over draws of the posterior, differences of log p: constants of the observation cancel.
    near = theta[:, None] + scatter(theta)[:, None] * rng.standard_normal((400, 8, 7))
    true, learned = log_likelihood(observed)(near), toy_likelihood.given(observed)(near)
    true, learned = (values - values.mean(axis=1, keepdims=True) for values in (true, learned))
    assert np.corrcoef(true.ravel(), learned.ravel())[0, 1] > 0.95


def test_given_is_log_prob_up_to_a_constant(toy_likelihood, toy):
    theta = toy.theta[:6]
    known = toy_likelihood.log_prob(toy.summary[:3, None], np.broadcast_to(theta, (3, 6, 7)))
    found = toy_likelihood.given(toy.summary[:3])(np.broadcast_to(theta, (3, 6, 7)))
    np.testing.assert_allclose(np.ptp(known - found, axis=1) / np.abs(known).max(), 0, atol=1e-5)


def test_an_observation_without_a_likelihood(toy_likelihood, toy):
    far = toy.summary[:2] + np.array([[0.0] * 7, [0.0, 0.0, 500.0, 0.0, 0.0, 0.0, 0.0]])
    assert not np.isfinite(toy_likelihood.log_prob(far[1], toy.theta[1]))
    with pytest.raises(InputError, match="observation: too far outside of the training range"):
        toy_likelihood.given(far)


def test_most_likely_summary(toy_likelihood):
    theta = np.array([0.2915, 0.77, 0.5, 1.5, 0.7, 1.6, 0.5])
    found = toy_likelihood.most_likely(theta)
    assert (np.abs(found - theta) < 0.25 * scatter(theta)).all()


def test_accuracy_is_that_of_a_good_likelihood(toy_likelihood, toy):
    accuracy = measure_accuracy(toy_likelihood, toy)
    assert np.abs(accuracy.mean.mean(axis=0)).max() < 0.1
    assert np.abs(accuracy.scatter.mean(axis=0)).max() < 0.1
    assert accuracy.mean.std() < 2.5 / np.sqrt(accuracy.group)
    # Samples of another survey show.
    shifted = replace(toy, summary=toy.summary + 0.5 * scatter(toy.theta))
    assert measure_accuracy(toy_likelihood, shifted).mean.mean() == pytest.approx(-0.5, abs=0.1)


def test_accuracy_at_repeated_parameters(toy_likelihood, toy):
    theta = np.repeat(toy.theta[:8], 50, axis=0)
    repeated = replace(toy, theta=theta, summary=observe(theta, np.random.default_rng(2)))
    accuracy = measure_accuracy(toy_likelihood, repeated)
    assert accuracy.mean.shape == (8, 7)
    assert accuracy.group == 50


def test_weights_are_read_back(toy, tmp_path):
    path, recipe = tmp_path / "a.safetensors", likelihood_recipe("mdn", 7, epochs=1)
    small = toy.rows(np.arange(1500))
    first = fit_likelihood(path, small, recipe, device="cpu")
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["architecture"] == "lss-mixture"
    assert card["parameters_of_model"] == list(toy.names)
    assert card["training_samples"] + card["validation_samples"] == 1500
    again = load_likelihood(path, "cpu")
    np.testing.assert_array_equal(
        first.log_prob(toy.summary[:9], toy.theta[:9]), again.log_prob(toy.summary[:9], toy.theta[:9])
    )
    # A finished one is taken as it is, if it is the one that is asked for.
    time = path.stat().st_mtime_ns
    fit_likelihood(path, small, recipe, device="cpu", resume=True)
    assert path.stat().st_mtime_ns == time
    for others, settings in ((toy.rows(np.arange(1400)), recipe), (small, likelihood_recipe("mdn", 7, epochs=2))):
        with pytest.raises(InputError, match="a likelihood of other samples or settings"):
            fit_likelihood(path, others, settings, device="cpu", resume=True)
    with pytest.raises(InputError, match="exists"):
        fit_likelihood(path, small, recipe, device="cpu")


def test_training_is_the_same_twice_and_leaves_random_numbers_alone(toy, tmp_path):
    small, recipe = toy.rows(np.arange(1200)), likelihood_recipe("mdn", 7, epochs=1, seed=3)
    state = torch.get_rng_state()
    found = [fit_likelihood(tmp_path / f"{n}.safetensors", small, recipe, device="cpu") for n in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    values = [one.log_prob(toy.summary[:5], toy.theta[:5]) for one in found]
    np.testing.assert_allclose(*values, rtol=1e-12)


def on_grid(toy, cosmologies):
    """Return the toy with cosmologies on a square grid."""
    theta = toy.theta.copy()
    number = np.arange(len(theta)) % cosmologies**2
    theta[:, 0], theta[:, 1] = 0.2 + 0.02 * (number % cosmologies), 0.7 + 0.03 * (number // cosmologies)
    return replace(toy, theta=theta)


def test_split_keeps_cosmologies_together_and_trains_on_corners(toy):
    grid = on_grid(toy, 5)
    split = split_summaries(grid, 0.25, 1)
    assert split.unit == "cosmologies"
    groups = grid.groups(("omega_m", "s8"))
    assert not set(groups[split.training]) & set(groups[~split.training])
    assert (~split.training).mean() == pytest.approx(0.25, abs=0.05)
    held = grid.theta[~split.training]
    corner = np.isin(held[:, 0], [0.2, 0.28]) & np.isin(held[:, 1].round(2), [0.7, 0.82])
    assert not corner.any()


def test_split_of_few_cosmologies_keeps_parameter_sets_together(toy):
    grid = on_grid(toy, 2)
    grid = replace(grid, theta=np.repeat(grid.theta[:3000], 2, axis=0))
    split = split_summaries(grid, 0.25, 1)
    assert split.unit == "parameter sets"
    groups = grid.groups()
    assert not set(groups[split.training]) & set(groups[~split.training])


def test_epochs_go_through_large_sets_in_parts(toy, tmp_path):
    recipe = likelihood_recipe("mdn", 7, epochs=2)
    recipe = LikelihoodRecipe(recipe.network, recipe.training, most_per_epoch=500)
    seen = []
    fit_likelihood(
        tmp_path / "a.safetensors",
        toy.rows(np.arange(1500)),
        recipe,
        device="cpu",
        on_epoch=lambda done, _: seen.append(done),
    )
    assert seen == [0, 1, 2]


def test_constant_summary(toy, tmp_path):
    summary = toy.summary.copy()
    summary[:, 2] = 1.0
    with pytest.raises(InputError, match=r"toy.zarr: the summary a_ia is 1 throughout; expected a range"):
        fit_likelihood(tmp_path / "a.safetensors", replace(toy, summary=summary), likelihood_recipe("mdn", 7))


def test_unknown_density():
    with pytest.raises(InputError, match="density: 'maf'; expected mdn or flow"):
        likelihood_recipe("maf", 7)


def test_flow_is_learned_and_read_back(toy, tmp_path):
    pytest.importorskip("zuko")
    path = tmp_path / "flow.safetensors"
    found = fit_likelihood(path, toy.rows(np.arange(1500)), likelihood_recipe("flow", 7, epochs=2), device="cpu")
    values = found.log_prob(toy.summary[:50], toy.theta[:50])
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(values, load_likelihood(path, "cpu").log_prob(toy.summary[:50], toy.theta[:50]))
    # It begins at the regression, and is good at once.
    true = log_likelihood(toy.summary[:50])(toy.theta[:50, None])[:, 0]
    assert np.corrcoef(values, true)[0, 1] > 0.6


def test_split_of_cosmologies_at_corners_alone(toy):
    """Eight cosmologies on a circle: none can be spared."""
    angle = 2 * np.pi * (np.arange(len(toy.theta)) % 8) / 8
    theta = toy.theta.copy()
    theta[:, 0], theta[:, 1] = 0.3 + 0.05 * np.cos(angle), 0.8 + 0.05 * np.sin(angle)
    split = split_summaries(replace(toy, theta=theta), 0.25, 0)
    assert split.unit == "parameter sets"
    assert (~split.training).mean() == pytest.approx(0.25, abs=0.01)
