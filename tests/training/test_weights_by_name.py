import pytest
import torch
from torch import nn

from lensdask.data import file_sha256, save_weights
from lensdask.errors import InputError
from lensdask.massmap import find_method
from lensdask.massmap.method import SHIPPED_WEIGHTS as MASS_MAP_WEIGHTS
from lensdask.shear import find_estimator
from lensdask.shear.shapes.estimator import SHIPPED_WEIGHTS as SHAPE_WEIGHTS
from lensdask.training import find_weights, weights_file

CARD = {"architecture": "linear", "config": {}}


def build(card: dict) -> nn.Module:
    if card["architecture"] != "linear":
        raise InputError("card of the weights: expected linear")
    return nn.Linear(2, 2)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "net.safetensors"
    save_weights(path, nn.Linear(2, 2).state_dict(), CARD)
    return path


def test_weights_are_found_by_name_and_by_path(weights, monkeypatch) -> None:
    shipped = {"net": weights}
    # A task takes the name, since the package may lie elsewhere on the worker; a path must hold in any folder.
    assert find_weights("net", shipped, build, "?") == ("net", file_sha256(weights))
    monkeypatch.chdir(weights.parent)
    found = find_weights("net.safetensors", {}, build, "?")
    assert found == (str(weights.resolve()), file_sha256(weights))
    assert weights_file("net", shipped) == weights
    assert weights_file(found.location, shipped) == weights.resolve()


def test_an_unknown_name_lists_what_there_is(weights) -> None:
    with pytest.raises(InputError, match=r"^no net 'wet'; expected one, net or a \.safetensors file$"):
        find_weights("wet", {"net": weights}, build, "no net 'wet'; expected one")


def test_weights_that_do_not_fit_their_card_are_refused_at_once(weights) -> None:
    save_weights(weights, {"weight": torch.zeros(3)}, CARD)
    with pytest.raises(InputError, match=r"net\.safetensors: weights of another architecture than 'linear'"):
        find_weights(str(weights), {}, build, "?")
    save_weights(weights, nn.Linear(2, 2).state_dict(), CARD | {"architecture": "cubic"})
    with pytest.raises(InputError, match=r"net\.safetensors: card of the weights: expected linear$"):
        find_weights(str(weights), {}, build, "?")


@pytest.mark.parametrize("name", [*SHAPE_WEIGHTS, *MASS_MAP_WEIGHTS])
def test_shipped_weights_of_both_pillars_are_found(name) -> None:
    shipped = SHAPE_WEIGHTS if name in SHAPE_WEIGHTS else MASS_MAP_WEIGHTS
    found = find_estimator(name) if name in SHAPE_WEIGHTS else find_method(name)
    assert found.path == name
    assert found.weights == shipped[name]
    assert found.sha256 == file_sha256(shipped[name])


def test_every_file_of_weights_has_a_name() -> None:
    for shipped in (SHAPE_WEIGHTS, MASS_MAP_WEIGHTS):
        (folder,) = {path.parent for path in shipped.values()}
        assert {path.stem for path in folder.glob("*.safetensors")} == set(shipped)
