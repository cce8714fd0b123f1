"""Classifiers without physics, and where a network looks."""

import numpy as np
import torch
from lens_oracle import lenses_of

from lensdask.stronglens import SURVEYS
from lensdask.stronglens.evaluation.leaks import cut_predictions, neighbour_predictions, ring_radius
from lensdask.stronglens.evaluation.saliency import saliency
from lensdask.stronglens.simulation.imaging import lensed_images


def test_neighbours_tell_classes_apart_that_differ_and_no_others():
    random = np.random.default_rng(1)
    labels = np.arange(400) % 3
    images = random.normal(size=(400, 8, 8))
    patterned = images + random.normal(size=(3, 8, 8))[labels]
    known, others = slice(0, 200), slice(200, 400)
    same, told = (
        neighbour_predictions(each[known], labels[known], each[others], components=10) for each in (images, patterned)
    )
    assert 0.2 < (same == labels[others]).mean() < 0.46
    assert (told == labels[others]).mean() > 0.95


def test_ring_radius_is_the_einstein_radius():
    lenses = lenses_of("none", "physical", "hst", np.arange(40))
    radius = ring_radius(lensed_images(lenses, SURVEYS["hst"], 64, np.zeros(1)), SURVEYS["hst"].pixel_scale)
    np.testing.assert_allclose(radius, lenses.macro.theta_e, rtol=0.1)
    assert np.corrcoef(radius, lenses.macro.theta_e)[0, 1] > 0.95


def test_cuts():
    values = np.array([3.0, 1.0, 2.0, 4.0, 5.0, 0.0])
    is_high = values > 2.5
    others = np.array([-9.0, 2.4, 2.6, 9.0])
    assert cut_predictions(values, is_high, others).tolist() == [False, False, True, True]
    assert cut_predictions(values, ~is_high, others).tolist() == [True, True, False, False]
    # One of them on the wrong side.
    is_high[0] = False
    assert cut_predictions(values, is_high, others).tolist() == [False, False, False, True]
    assert cut_predictions(values, np.ones(6, dtype=bool), others).all()


def test_saliency_is_the_gradient():
    network = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Flatten(), torch.nn.Linear(16, 3))
    images = np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32)
    found = saliency(network, images, np.array([2, 0]))
    weight = network[2].weight.detach().numpy()
    np.testing.assert_allclose(found, weight[[2, 0]].reshape(2, 4, 4), rtol=1e-6)
    assert network.training
    assert network[2].weight.grad is None
