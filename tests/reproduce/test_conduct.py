"""How an experiment is carried out: what is replaced, resumed, refused, and never reused."""

import json

import pytest
import torch

from lensdask.compute import row
from lensdask.data import load_card, save_weights
from lensdask.errors import InputError
from lensdask.reproduce import EXPERIMENTS, Experiment, Job
from lensdask.reproduce.d4cnn.networks import trained, trained_path
from lensdask.reproduce.experiment import Outcome, conduct
from lensdask.shear import RunOptions


def draw(result, path):
    path.write_text(str(result["rows"][0]["measured"]))


def kept(job):
    """Measure the number of parts that earlier sessions left, and leave one more."""
    job.parts.mkdir(exist_ok=True)
    found = len(list(job.parts.iterdir()))
    (job.parts / f"part-{found}").touch()
    return Outcome([row("parts", found, 1e-6, comparable=True)], 1)


def interrupted(job):
    kept(job)
    raise KeyboardInterrupt


def refused(_job):
    raise InputError("no such thing")


def go(directory, measure=kept, *, if_exists="refuse", seed=0, size="tiny", networks=()):
    experiment = Experiment("test", "this", "nowhere", "all is well", measure, draw, lambda _job: list(networks))
    return conduct(experiment, Job(directory, size, seed, RunOptions(if_exists=if_exists)))


def parts_found(result):
    return result["rows"][0]["measured"]


def test_overwriting_removes_what_the_experiment_made_and_nothing_else(tmp_path):
    go(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert parts_found(go(tmp_path, if_exists="overwrite")) == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_interrupted_overwriting_is_resumed(tmp_path):
    go(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, interrupted, if_exists="overwrite", seed=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["experiment.json", "parts"]
    result = go(tmp_path, if_exists="resume", seed=1)
    assert (result["seed"], parts_found(result), result["run"]["resumed"]) == (1, 1, True)


def test_parts_without_a_marker_are_not_removed(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="no experiment"):
        go(tmp_path, if_exists="overwrite")
    assert (tmp_path / "parts" / "notes.txt").read_text() == "mine"


def test_refused_overwriting_puts_results_back(tmp_path):
    go(tmp_path)
    files = ("experiment.json", "result.json", "test.png")
    before = [(tmp_path / name).read_bytes() for name in files]
    with pytest.raises(InputError, match="no such thing"):
        go(tmp_path, refused, if_exists="overwrite", seed=1)
    assert [(tmp_path / name).read_bytes() for name in files] == before


def test_replaced_network_is_another_experiment(tmp_path):
    path, directory = tmp_path / "network.safetensors", tmp_path / "run"

    def ship(value):
        save_weights(path, {"w": torch.tensor([value])}, {"architecture": "none", "config": {}})
        return load_card(path)["sha256"]

    first = ship(1.0)
    result = go(directory, networks=[path])
    assert result["networks"] == {"network": first}
    assert go(directory, networks=[path], if_exists="resume") == result
    second = ship(2.0)
    with pytest.raises(InputError, match=f"holds networks .*{first}.*; expected networks .*{second}"):
        go(directory, networks=[path], if_exists="resume")
    assert go(directory, networks=[path], if_exists="overwrite")["networks"] == {"network": second}


def test_tiny_numbers_are_never_comparable(tmp_path):
    assert [go(tmp_path / size, size=size)["rows"][0]["comparable"] for size in ("tiny", "small")] == [False, True]


def test_trained_networks_are_known_by_their_recipe(tmp_path, monkeypatch):
    jobs = [Job(tmp_path, size, seed) for size, seed in (("tiny", 0), ("tiny", 1), ("small", 0), ("paper", 0))]
    paths = {trained_path(job, "d4cnn", count) for job in jobs for count in (16, 32)}
    assert len(paths) == 8
    calls = []
    monkeypatch.setattr("lensdask.reproduce.d4cnn.networks.train", lambda path, *_, **__: calls.append(path))
    trained(jobs[0], "d4cnn", 16)
    assert calls == [trained_path(jobs[0], "d4cnn", 16)]
    # The card makes it complete.
    calls[0].parent.mkdir(parents=True)
    calls[0].with_suffix(".json").write_text("{}")
    trained(jobs[0], "d4cnn", 16)
    trained(jobs[1], "d4cnn", 16)
    assert calls[1:] == [trained_path(jobs[1], "d4cnn", 16)]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_small_experiments_measure_with_networks_that_ship(name, tmp_path):
    paths = EXPERIMENTS[name].networks(Job(tmp_path, "small"))
    # Table 3 is about trainings, and the studies train their networks on their own simulations.
    trained = name == "d4cnn.table3" or name.startswith(("deeplss.", "enn."))
    assert all(path.is_relative_to(tmp_path) == trained for path in paths)
    assert len({path.stem for path in paths}) == len(paths)
    # What is known of parameters, redshifts and skies takes no network, nor does the power of maps.
    without = ("table1", "figure1", "figure7", "figure8", "novelty")
    assert bool(paths) == (name not in {f"deeplss.{part}" for part in without})


def test_marker_says_which_networks(tmp_path):
    path = tmp_path / "network.safetensors"
    save_weights(path, {"w": torch.zeros(1)}, {"architecture": "none", "config": {}})
    go(tmp_path / "run", networks=[path])
    marker = json.loads((tmp_path / "run" / "experiment.json").read_text())
    assert marker["networks"] == {"network": load_card(path)["sha256"]}
