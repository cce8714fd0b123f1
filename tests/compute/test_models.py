"""Networks are loaded once per process, frozen, and only from weights that fit."""

import pytest
import torch

import lensdask
from lensdask.compute import RunOptions, StoreReference, cached_model
from lensdask.data import file_sha256, save_weights
from lensdask.errors import InputError
from lensdask.shear import simulate_run

BUILT = []


def build(card):
    BUILT.append(card["architecture"])
    width = card["config"]["width"]
    return torch.nn.Sequential(torch.nn.Linear(width, 2), torch.nn.Dropout(0.5))


@pytest.fixture
def path(tmp_path):
    card = {"architecture": "tiny", "config": {"width": 3}}
    path = tmp_path / "tiny.safetensors"
    save_weights(path, build(card).state_dict(), card)
    BUILT.clear()
    return path


def test_loaded_once_and_frozen(path):
    sha256 = file_sha256(path)
    model = cached_model(build, path, sha256, "cpu")
    assert cached_model(build, str(path), sha256, "cpu") is model
    assert BUILT == ["tiny"]
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert torch.equal(model(torch.ones(1, 3)), model(torch.ones(1, 3)))


def test_new_weights_in_the_same_file_are_loaded(path):
    first = cached_model(build, path, file_sha256(path), "cpu")
    save_weights(path, build({"architecture": "", "config": {"width": 3}}).state_dict(), CARD)
    second = cached_model(build, path, file_sha256(path), "cpu")
    assert not torch.equal(first[0].weight, second[0].weight)


CARD = {"architecture": "tiny", "config": {"width": 3}}


def test_the_same_weights_with_another_card_are_another_network(path):
    weights = build(CARD).state_dict()
    for architecture in ("first", "second"):
        save_weights(path, weights, CARD | {"architecture": architecture})
        BUILT.clear()
        cached_model(build, path, file_sha256(path), "cpu")
        assert [architecture] == BUILT


@pytest.mark.parametrize("state", [{"0.weight": torch.ones(2, 4)}, {"other": torch.ones(1)}, {}])
def test_weights_of_another_architecture(path, state):
    save_weights(path, state, CARD)
    with pytest.raises(InputError, match="weights of another architecture") as caught:
        cached_model(build, path, file_sha256(path), "cpu")
    assert "\n" not in str(caught.value)


def test_other_weights_than_wanted(path):
    with pytest.raises(InputError, match="has sha256"):
        cached_model(build, path, "0" * 64, "cpu")


def test_a_store_is_opened_once_and_again_when_it_was_replaced(tmp_path):
    path = tmp_path / "stamps.zarr"
    hashes = []
    for galaxies in (4, 6):
        simulate_run(path, galaxies=galaxies, options=RunOptions(if_exists="overwrite", show_progress=False))
        hashes.append(lensdask.open(path).attrs["configuration_hash"])
        first = StoreReference(str(path), hashes[-1]).open()
        assert first.sizes["galaxy"] == galaxies
        assert StoreReference(str(path), hashes[-1]).open() is first
    assert hashes[0] == hashes[1]
    with pytest.raises(InputError, match="changed since the run began; expected the same store"):
        StoreReference(str(path), "0").open()
