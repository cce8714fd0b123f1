"""The script that writes what networks of mass maps were measured to do into their cards."""

import importlib
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from mass_stores import NOISE, SKY, save_network

from lensdask.data import load_card, load_weights
from lensdask.massmap import method as methods

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture
def cards(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("massmap_cards")


def test_a_card_gets_its_numbers_and_keeps_the_rest(cards, tmp_path, monkeypatch, capfd):
    recipe = {"sky": asdict(replace(SKY, size=32)), "noise": asdict(NOISE)}
    network = save_network(tmp_path / "net.safetensors", recipe=recipe, measured={"rmse": 7})
    before = load_card(network)
    monkeypatch.setitem(methods.SHIPPED_WEIGHTS, "net", network)
    monkeypatch.setattr(sys, "argv", ["massmap_cards.py", "net", "--fields", "2", "--seed", "3", "--device", "cpu"])
    cards.main()
    after = load_card(network)
    assert list(after) == list(before)
    assert after | {"measured": None} == before | {"measured": None}
    assert network.with_suffix(".json").read_text() == json.dumps(after, indent=2) + "\n"
    load_weights(network, before["sha256"])
    measured = after["measured"]
    assert (measured["fields"], measured["seed"]) == (2, 3)
    assert set(measured["rmse"]) == {"network", "symmetrised", "ks93", "wiener"}
    assert f"net: rmse / wiener of ks93 {measured['rmse / wiener']['ks93']['value']:.4f}" in capfd.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.json", "net.safetensors"]


def test_a_card_gets_what_other_noise_costs(cards, tmp_path, monkeypatch, capfd):
    recipe = {"sky": asdict(replace(SKY, size=32)), "noise": asdict(NOISE)}
    network = save_network(tmp_path / "net.safetensors", recipe=recipe, measured={"rmse": 7})
    before = load_card(network)
    monkeypatch.setitem(methods.SHIPPED_WEIGHTS, "net", network)
    arguments = ["net", "--noise", "--fields", "2", "--seed", "3", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["massmap_cards.py", *arguments])
    cards.main()
    after = load_card(network)
    part = after.pop("other_noise")
    assert after == before
    assert list(part)[:6] == ["what", "fields", "seed", "noises", "rmse / wiener", "range"]
    assert 0.7 <= part["range"][0] <= 1 <= part["range"][1] <= 1.3
    assert len(part["noises"]) == len(part["rmse / wiener"])
    # An untrained network gains against Wiener where there is more noise.
    values = [ratio["value"] for ratio in part["rmse / wiener"]]
    assert values[0] > values[-1]
    assert f"net: rmse / wiener of 1.3 {values[-1]:.4f}" in capfd.readouterr().out


@pytest.mark.parametrize(("names", "message"), [(["nowhere"], "unknown: nowhere"), (["cosmos"], "expected --data")])
def test_what_cannot_be_measured(cards, monkeypatch, capfd, names, message):
    monkeypatch.setattr(sys, "argv", ["massmap_cards.py", *names])
    with pytest.raises(SystemExit, match="2"):
        cards.main()
    assert message in capfd.readouterr().err
