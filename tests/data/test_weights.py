"""Weights: read back to the bit, and refused when anything is amiss."""

import errno
import json
from pathlib import Path

import pytest
import torch

from lensdask.data import file_sha256, load_card, load_into, load_weights, save_weights
from lensdask.errors import InputError

CARD = {"architecture": "tiny", "config": {"width": 3}, "epochs": 5}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_weights(path, torch.nn.Linear(3, 2).state_dict(), CARD)
    return path


def test_round_trip(tmp_path):
    tensors = {"a": torch.randn(4, 3).T, "b": torch.arange(3)}
    save_weights(tmp_path / "new" / "w.safetensors", tensors, CARD)
    loaded = load_weights(tmp_path / "new" / "w.safetensors")
    assert set(loaded) == {"a", "b"}
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_card(path):
    card = load_card(path)
    assert len(card.pop("card_sha256")) == 64
    assert card == CARD | {"sha256": file_sha256(path)}
    load_weights(path, sha256=file_sha256(path))


def test_a_card_that_was_changed_is_refused(path):
    file = path.with_suffix(".json")
    card = json.loads(file.read_text())
    # What is measured of a network is added later.
    file.write_text(json.dumps(card | {"measured": {"rmse": 1.0}}))
    assert load_card(path)["measured"] == {"rmse": 1.0}
    for entry in ({"config": {"residual": 0.3}}, {"pixel_scale": 0.4}, {"sha256": "0" * 64}):
        file.write_text(json.dumps(card | entry))
        with pytest.raises(InputError, match=r"was changed since it was written; expected the card of .* as it was"):
            load_card(path)
    # Cards of earlier versions have no checksum of their own.
    earlier = {name: entry for name, entry in card.items() if name != "card_sha256"}
    file.write_text(json.dumps(earlier))
    assert load_card(path) == earlier
    for entry in ({"config": {"widths": [1, float("nan")]}}, {"pixel_scale": float("inf")}):
        file.write_text(json.dumps(earlier | entry))
        with pytest.raises(InputError, match="has a number that is not finite"):
            load_card(path)


def test_saving_again_replaces_both(path):
    before = file_sha256(path)
    save_weights(path, {"a": torch.ones(2)}, CARD)
    assert file_sha256(path) != before
    assert list(load_weights(path)) == ["a"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p.unlink(), "cannot be read"),
        (lambda p: p.with_suffix(".json").unlink(), "expected the card"),
        (lambda p: p.with_suffix(".json").write_text("{"), "is not JSON"),
        (lambda p: p.with_suffix(".json").write_text("[]"), "'architecture' and 'config'"),
        (lambda p: p.with_suffix(".json").write_text(json.dumps(CARD)), "no 'sha256'"),
        (lambda p: p.write_bytes(p.read_bytes()[:-1]), "has sha256"),
    ],
)
def test_amiss(path, spoil, message):
    spoil(path)
    with pytest.raises(InputError, match=message) as caught:
        load_weights(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("code", [errno.EACCES, errno.ESTALE, errno.EIO])
def test_a_file_system_at_fault_is_not_the_input_at_fault(path, monkeypatch, code):
    def fail(_):
        raise OSError(code, "of one machine")

    monkeypatch.setattr(Path, "read_bytes", fail)
    for read in (load_card, load_weights, file_sha256):
        with pytest.raises(OSError, match="of one machine"):
            read(path)


def test_damaged_though_the_card_agrees(path):
    path.write_bytes(b"\xff" * 100)
    path.with_suffix(".json").write_text(json.dumps(CARD | {"sha256": file_sha256(path)}))
    with pytest.raises(InputError, match="is damaged"):
        load_weights(path)


def test_other_weights_than_wanted(path):
    with pytest.raises(InputError, match="expected 000000000000"):
        load_weights(path, sha256="0" * 64)


def test_bad_name_and_bad_card(tmp_path):
    with pytest.raises(InputError, match=r"expected \.safetensors"):
        save_weights(tmp_path / "w.pt", {}, CARD)
    with pytest.raises(InputError, match="expected a card"):
        save_weights(tmp_path / "w.safetensors", {}, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": torch.full((2, 3), torch.nan)}, "weight has a number that is not finite"),
        ({"bias": torch.tensor([1.0, torch.inf])}, "bias has a number that is not finite"),
        ({"weight": torch.ones(2, 3, dtype=torch.int64)}, r"weight is of type torch.int64; expected torch.float32"),
        ({"weight": torch.ones(2, 3, dtype=torch.complex64)}, r"weight is of type torch.complex64"),
    ],
)
def test_weights_that_compute_nothing_are_refused(tmp_path, change, message):
    network = torch.nn.Linear(3, 2)
    before = network.weight.detach().clone()
    save_weights(tmp_path / "w.safetensors", network.state_dict() | change, CARD)
    with pytest.raises(InputError, match=message):
        load_into(network, tmp_path / "w.safetensors")
    assert torch.equal(network.weight, before)
