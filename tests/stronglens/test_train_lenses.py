"""Networks are trained on lenses of a store: apart by id, the same whatever interrupts them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ring_images import ring_store
from scipy.special import softmax

from lensdask.data import load_card, load_weights
from lensdask.errors import InputError
from lensdask.stronglens.evaluation.calibration import calibration
from lensdask.stronglens.evaluation.metrics import mean_nll
from lensdask.stronglens.nets import trainingset
from lensdask.stronglens.nets.architectures import build_network
from lensdask.stronglens.nets.loss import OUTPUTS, mass_of, objective, units_of
from lensdask.stronglens.nets.recipe import Recipe, read_recipe
from lensdask.stronglens.nets.training import CONDITIONS, train
from lensdask.stronglens.nets.trainingset import LensSet, lens_set, split_lenses
from lensdask.training import recipe_names

TINY = read_recipe("lens-tiny")


@pytest.fixture
def rings(monkeypatch):
    """Let a dataset of rings stand for every store."""
    dataset = ring_store(60)
    monkeypatch.setattr(trainingset, "open_store", lambda _path: dataset)
    return dataset


def lenses(count=60):
    return lens_set(ring_store(count), "rings")


def test_lenses_keep_their_side_when_others_come():
    few, many = (split_lenses(lenses(count), 0.3, 0, 5) for count in (60, 90))
    for before, after in zip(few, many, strict=True):
        assert set(before.ids) == {i for i in after.ids if i < 60}
    assert not set(many[0].ids) & set(many[1].ids)
    assert len(many[0]) + len(many[1]) == 90
    assert set(split_lenses(lenses(), 0.3, 0, 6)[1].ids) != set(few[1].ids)


def test_smaller_trainings_are_part_of_larger_ones():
    small, large = (split_lenses(lenses(), 0.3, number, 5) for number in (4, 8))
    assert np.bincount(small[0].labels).tolist() == [4, 4, 4]
    assert set(small[0].ids) < set(large[0].ids)
    np.testing.assert_array_equal(small[1].ids, large[1].ids)
    with pytest.raises(InputError, match="per_class: 30; the lenses for training have"):
        split_lenses(lenses(), 0.3, 30, 5)


def test_parts_are_not_empty():
    with pytest.raises(InputError, match="expected enough for training and validation"):
        split_lenses(lenses(3), 1e-9, 0, 5)


def test_epochs_hold_every_lens_turned():
    whole = lenses()
    first, again, second = (whole.of_epoch(1, epoch, turns=True) for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first.maps, again.maps)
    assert not np.array_equal(first.ids, second.ids)
    order = np.argsort(first.ids)
    np.testing.assert_allclose(first.maps[order].sum((1, 2, 3)), whole.maps.sum((1, 2, 3)), rtol=1e-4)
    same = [np.array_equal(a, b) for a, b in zip(first.maps[order], whole.maps, strict=True)]
    assert 0 < sum(same) < 20
    plain = whole.of_epoch(1, 0, turns=False)
    np.testing.assert_array_equal(plain.maps, whole.maps[plain.ids])


def test_batches_are_of_nearly_equal_size():
    sizes = [len(images) for images, _ in lenses(61).batches("classify", 20, "cpu")]
    assert sizes == [16, 15, 15, 15]


def test_masses_are_of_vortices_alone():
    part = lenses().for_task("mass")
    assert (part.labels == 2).all()
    images, units = part.batch("mass", "cpu")
    assert images.shape == (20, 1, 32, 32)
    assert units.abs().max() <= 1
    np.testing.assert_allclose(units_of(np.array([-24, -23, -22])), [-1, 0, 1])


def test_the_loss_of_masses_is_that_of_a_normal_distribution():
    outputs, units = torch.tensor([[0.2, -1.0], [0.5, 0.4]]), torch.tensor([0.1, -0.3])
    normal = torch.distributions.Normal(outputs[:, 0], (outputs[:, 1] / 2).exp())
    found = objective("mass")(torch.nn.Identity(), (outputs, units))
    torch.testing.assert_close(found, -normal.log_prob(units).mean() - np.log(2 * np.pi) / 2)
    mean, error = mass_of(outputs)
    torch.testing.assert_close(mean, torch.tensor([-22.8, -22.5]))
    torch.testing.assert_close(error, (outputs[:, 1] / 2).exp())


def test_recipes_fit_the_network_to_the_task():
    for name in recipe_names(("lens-",)):
        recipe = read_recipe(name)
        for task, number in OUTPUTS.items():
            assert replace(recipe, task=task).network.outputs == number
    for settings in ({"task": "find"}, {"validation": 1.0}, {"per_class": -1}, {"seed": -1}):
        with pytest.raises(InputError, match="expected"):
            Recipe(**settings)


@pytest.mark.usefixtures("rings")
@pytest.mark.parametrize("task", OUTPUTS)
def test_training_writes_weights_and_a_card(tmp_path, task):
    path = tmp_path / "net.safetensors"
    seen = []
    trained = train(
        path, replace(TINY, task=task), lenses="r.zarr", device="cpu", on_epoch=lambda done, _: seen.append(done)
    )
    assert seen == [0, 1, 2]
    assert trained.card["sha256"] == load_card(path)["sha256"]
    assert trained.card["architecture"] == "lens-net"
    assert (trained.card["lenses_hash"], trained.card["pixels"], trained.card["store"]) == ("of-rings", 32, "r.zarr")
    assert sum(trained.card["lenses"].values()) == (60 if task == "classify" else 20)
    assert {name: trained.card[name] for name in CONDITIONS} == {
        name: ring_store(1).attrs[name] for name in ("survey", "preset", "signal", "noise")
    }
    assert sum(trained.card["loss"]["cpu_s"]) > 0
    network = build_network(trained.card)
    network.load_state_dict(load_weights(path))
    whole = lenses().for_task(task)
    held_out = split_lenses(whole, TINY.validation, 0, TINY.seed)[1]
    found = calibration(network, task, held_out, "cpu")
    assert found == {name: trained.card[name] for name in found}
    assert found["validation"]["lenses"] == len(held_out)
    loss = trained.card["loss"]
    assert len(loss["score"]) == 2
    if task == "classify":
        # Offsets are not in the accuracy after the epoch whose weights were kept; they cannot make it unlikelier.
        assert found["validation"]["nll"] <= min(loss["validation"]) + 1e-6
    else:
        assert 0 < min(loss["score"]) <= found["validation"]["rmse"]


def outputs_of(monkeypatch, outputs):
    """Let a network give these numbers."""
    monkeypatch.setattr(
        "lensdask.stronglens.evaluation.calibration.network_outputs", lambda *_, **__: outputs.astype(np.float32)
    )


def test_a_temperature_and_offsets_mend_logits(monkeypatch):
    random = np.random.default_rng(0)
    logits = 2 * random.standard_normal((4000, 3))
    labels = np.array([random.choice(3, p=p) for p in softmax(logits, axis=1)])
    found = LensSet(np.arange(4000), np.zeros((4000, 1, 2, 2), np.float32), labels, np.zeros(4000, np.float32))
    outputs_of(monkeypatch, 3 * (logits + np.array([0.5, 0, -0.5])))
    card = calibration(None, "classify", found, "cpu")
    assert card["temperature"] == pytest.approx(3, rel=0.1)
    np.testing.assert_allclose(card["offsets"], [-0.5, 0, 0.5], atol=0.15)
    assert card["validation"]["nll"] == pytest.approx(mean_nll(softmax(logits, axis=1), labels), rel=0.01)
    # No temperature is most likely where every lens is right.
    outputs_of(monkeypatch, np.eye(3)[labels])
    card = calibration(None, "classify", found, "cpu")
    assert (card["temperature"], card["offsets"]) == (1, [0, 0, 0])


def test_a_scale_mends_errors_that_are_too_small(monkeypatch):
    random = np.random.default_rng(0)
    units = random.uniform(-1, 1, 4000).astype(np.float32)
    found = LensSet(np.arange(4000), np.zeros((4000, 1, 2, 2), np.float32), np.full(4000, 2), units)
    said = np.full(4000, 2 * np.log(0.1))
    outputs_of(monkeypatch, np.stack([units + random.normal(0, 0.25, 4000), said], axis=1))
    card = calibration(None, "mass", found, "cpu")
    assert card["error_scale"] == pytest.approx(2.5, rel=0.05)
    # The half prior is 1 dex.
    assert card["validation"]["rmse"] == pytest.approx(0.25, rel=0.05)


@pytest.mark.usefixtures("rings")
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path):
    class StopError(Exception):
        pass

    def stop(done, _history):
        if done == 1:
            raise StopError

    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    train(whole, TINY, lenses="r.zarr", device="cpu")
    with pytest.raises(StopError):
        train(parts, TINY, lenses="r.zarr", device="cpu", on_epoch=stop)
    train(parts, TINY, lenses="r.zarr", device="cpu", resume=True)
    assert load_card(whole)["sha256"] == load_card(parts)["sha256"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.assign_attrs(schema="stamps"), "a store of stamps; expected one of lenses"),
        (lambda d: d.isel(y=slice(30)), "images of 30 x 32 pixels; expected square ones"),
        (lambda d: d.assign(image=d.image.where(d.lens != 3)), "the image of lens 3 is not finite"),
        (lambda d: d.assign(label=d.label + 1), "expected 0 to 2"),
        (lambda d: d.isel(x=slice(31), y=slice(31)), "expected .* a multiple of 2 pixels"),
    ],
)
def test_lenses_that_are_refused(monkeypatch, tmp_path, change, message):
    dataset = change(ring_store(60))
    monkeypatch.setattr(trainingset, "open_store", lambda _path: dataset)
    with pytest.raises(InputError, match=message):
        train(tmp_path / "net.safetensors", TINY, lenses="r.zarr", device="cpu")


@pytest.mark.usefixtures("rings")
def test_a_network_learns_the_number_of_dots(tmp_path):
    recipe = replace(TINY, training=replace(TINY.training, epochs=8, learning_rate=1e-2), turns=False)
    curve = train(tmp_path / "net.safetensors", recipe, lenses="r.zarr", device="cpu").history.training
    assert curve[-1] < 0.9 * curve[0]
