"""The committed results: complete, at size small, and shown as they were measured."""

import importlib.util
import json
from pathlib import Path

import pytest

from lensdask.reproduce import EXPERIMENTS
from lensdask.reproduce.tables import markdown, number

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
    assert result["claim"] == EXPERIMENTS[name].claim
    assert (ROOT / "docs" / "reproduce" / f"{name}.png").stat().st_size > 10_000


def test_page_shows_the_committed_results():
    assert (RESULTS / "README.md").read_text() == collector().page()


def test_markdown_has_every_number():
    points = [
        {"quantity": q, "measured": v, "error": 1e-3, "published": None, "published_error": None, "unit": "1"}
        | {"comparable": False, "series": "noise", "x": x, "n": 800}
        for x in (0.1, 0.2)
        for q, v in (("m1", x), ("m2", -x))
    ]
    single = points[0] | {"quantity": "time | size", "measured": 2.5, "error": None, "published": 0.7, "unit": "ms"}
    del single["x"]
    run = {"objects": 1600, "wall_s": 2.0, "device": "a computer", "date": "2026-01-02"}
    heading = {"experiment": "a.figure1", "what": "this", "source": "Figure 1", "claim": "all is well"}
    text = markdown(heading | {"size": "small", "seed": 0, "rows": [single, *points], "run": run})
    assert "Figure 1: all is well." in text
    assert "1,600 galaxies in 2 s on a computer, 2026-01-02." in text
    assert f"| noise | time \\| size (ms) | {number(2.5, None)} | {number(0.7, None)} | no | 800 |" in text
    assert "| noise | m1 | m2 | N |" in text
    assert f"| 0.2 | {number(0.2, 1e-3)} | {number(-0.2, 1e-3)} | 800 |" in text
