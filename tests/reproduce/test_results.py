"""The committed results: complete, at size small, and shown as they were measured."""

import importlib.util
import json
from pathlib import Path

import pytest

from lensdask.cli.terminal import print_reproduction
from lensdask.compute.results import number
from lensdask.data import load_card
from lensdask.reproduce import EXPERIMENTS, Job
from lensdask.reproduce.experiment import identity
from lensdask.reproduce.tables import markdown

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "lensdask" / "reproduce" / "results"


def collector():
    spec = importlib.util.spec_from_file_location("reproduce_script", ROOT / "docs" / "reproduce.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_a_result_and_a_picture(name):
    result = json.loads((RESULTS / f"{name}.json").read_text())
    assert (result["experiment"], result["size"]) == (name, "small")
    assert result["run"]["quarantined"] == 0
    assert {"date", "device", "wall_s", "versions"} <= set(result["run"])
    assert result["what"] == EXPERIMENTS[name].what
    assert (result["claim"], result["note"]) == (EXPERIMENTS[name].claim, EXPERIMENTS[name].note)
    assert (ROOT / "docs" / "reproduce" / f"{name}.png").stat().st_size > 10_000


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_results_are_of_the_committed_networks(name, tmp_path):
    networks = json.loads((RESULTS / f"{name}.json").read_text())["networks"]
    paths = EXPERIMENTS[name].networks(Job(tmp_path, "small"))
    # The names of those that the experiment trained contain the recipe.
    assert set(networks) == {path.stem for path in paths}
    for path in paths:
        assert path.is_relative_to(tmp_path) or networks[path.stem] == load_card(path)["sha256"]


def test_page_shows_the_committed_results():
    assert (RESULTS / "README.md").read_text() == collector().page()


def test_collecting_repeats_experiments_whose_networks_changed(tmp_path, monkeypatch):
    name, module, calls = "d4cnn.figure3", collector(), []
    build = tmp_path / "build"
    known = identity(EXPERIMENTS[name], Job(build / name, "small"))

    def run(_name, directory, *, study, options):  # noqa: ARG001
        calls.append(options.if_exists)
        directory.mkdir(parents=True, exist_ok=True)
        for file in ("result.json", f"{name}.png"):
            (directory / file).touch()
        networks = known["networks"] if len(calls) > 1 else {"d4cnn": "an older one"}
        (directory / "experiment.json").write_text(json.dumps(known | {"networks": networks}))

    (tmp_path / "docs" / "reproduce").mkdir(parents=True)
    monkeypatch.setattr(module, "run_experiment", run)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    for _ in range(3):
        module.collect(build, [name])
    assert calls == ["resume", "overwrite", "resume"]


def test_markdown_has_every_number():
    points = [
        {"quantity": q, "measured": v, "error": 1e-3, "published": None, "published_error": None, "unit": "1"}
        | {"comparable": False, "series": "noise", "x": x, "n": 800}
        for x in (0.1, 0.2)
        for q, v in (("m1", x), ("m2", -x))
    ]
    single = points[0] | {"quantity": "time | size", "measured": 2.5, "error": None, "published": 0.7, "unit": "ms"}
    del single["x"]
    run = {"objects": 1600, "wall_s": 2.0, "device": "a computer", "date": "2026-01-02", "resumed": False}
    heading = {
        "experiment": "a.figure1",
        "what": "this",
        "source": "Figure 1",
        "claim": "all is well",
        "note": "Not here.",
    }
    result = heading | {"size": "small", "seed": 0, "rows": [single, *points], "run": run}
    text = markdown(result)
    assert "Figure 1: all is well." in text
    assert "\n\nNot here.\n\n" in text
    assert "1,600 objects in 2 s on a computer, 2026-01-02." in text
    assert "1,600 galaxies in 2 s" in markdown(result | {"experiment": "d4cnn.figure1"})
    assert "2 s (last session of a resumed run) on" in markdown(result | {"run": run | {"resumed": True}})
    assert f"| noise | time \\| size (ms) | {number(2.5, None)} | {number(0.7, None)} | no | 800 |" in text
    assert "| noise | m1 | m2 | N |" in text
    assert f"| 0.2 | {number(0.2, 1e-3)} | {number(-0.2, 1e-3)} | 800 |" in text


def test_terminal_shows_claim_and_note(capfd):
    run = {"objects": 1, "wall_s": 2.0, "device": "a computer", "date": "2026-01-02", "resumed": False}
    heading = {
        "experiment": "a.figure1",
        "what": "this",
        "source": "Figure 1",
        "claim": "all is well",
        "note": "Not here.",
    }
    print_reproduction(heading | {"size": "small", "seed": 0, "rows": [], "run": run})
    assert capfd.readouterr().out.endswith("Figure 1: all is well\nNot here.\n")
