"""The script of `make gpu`: a dry run on the CPU, what it does where something is missing, fails or hangs."""

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TABLES = {"tests", "resmooth", "stages", "bias", "maps", "training", "mosaics", "lenses"}


BLOCK = """
import importlib.machinery
def hidden(name, *rest, found=importlib.machinery.PathFinder.find_spec):
    return None if name.partition(".")[0] in {names!r} else found(name, *rest)
# Also where it is called on an instance.
importlib.machinery.PathFinder.find_spec = staticmethod(hidden)
"""
"""What hides modules from a Python and its children."""


def script(*arguments, site=()):
    """Run it where there is no GPU."""
    path = os.pathsep.join(map(str, [*site, ROOT]))
    environment = os.environ | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(ROOT / "docs" / "gpu.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)


@pytest.fixture
def load(monkeypatch):
    """Return a function that imports a module of docs."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    return importlib.import_module


def test_a_dry_run_on_the_cpu(tmp_path, load):
    done = script("--device", "cpu", "--size", "tiny", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {file.name.partition(".")[0]: json.loads(file.read_text()) for file in tmp_path.glob("*.cpu.json")}
    assert found.keys() == TABLES
    assert all(part["size"] == "tiny" and part["machine"]["date"] and part["wall_s"] > 0 for part in found.values())
    # The page shows them as it would those of a GPU.
    bench = load("bench")
    tests = {"tests": 3, "failures": 1, "errors": 0, "skipped": 1}
    gpu = {f"{n}.cuda": p | {"machine": p["machine"] | {"GPU": "NVIDIA X"}} for n, p in found.items()}
    page = bench.page(bench.committed() | gpu | {"tests.cuda": gpu["tests.cuda"] | tests})
    titles = [
        "Stages",
        "Resmoothing by torch and by CuPy",
        "`shear bias`",
        "Mass maps",
        "One epoch of training",
        "Mosaics of large-scale structure",
        "Strong lenses of three classes, 64 x 64 pixels",
        "Tests",
    ]
    assert all(f"## {title}, NVIDIA X" in page for title in titles)
    assert "Of 3 tests on the GPU 1 failed and 1 were skipped." in page


def test_what_is_missing_is_named_and_the_rest_is_done(tmp_path):
    names = {"galsim", "astropy", "dask", "distributed", "zarr", "bokeh", "hypothesis"}
    (tmp_path / "sitecustomize.py").write_text(BLOCK.format(names=names))
    done = script("--device", "cpu", "--size", "tiny", "--out", tmp_path, site=[tmp_path])
    assert done.returncode == 3, done.stdout + done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if " s  " in line}
    skipped = {name for name, line in lines.items() if "skipped: no dask, distributed, zarr, astropy, galsim" in line}
    assert skipped == {"tests", "stages", "bias", "mosaics", "lenses"}
    assert {file.name for file in tmp_path.glob("*.json")} == {f"{name}.cpu.json" for name in TABLES - skipped}


def test_without_a_gpu_it_says_so():
    done = script()
    assert done.returncode == 2
    assert "--device cpu --size tiny" in done.stderr


def breaks(*_):
    os._exit(7)


def hangs(*_):
    time.sleep(600)


def test_a_part_that_breaks_or_hangs_costs_the_others_nothing(load, monkeypatch, tmp_path):
    gpu = load("gpu")
    outcomes = []
    for does, limit in ((breaks, 60.0), (hangs, 1.0)):
        monkeypatch.setattr(gpu, "carry_out", does)
        outcomes.append(gpu.outcome_of("maps", "cpu", "tiny", tmp_path, limit))
    assert [each["outcome"] for each in outcomes] == ["failed: exit code 7", "failed: stopped after 1 s"]
    assert gpu.exit_code(outcomes) == 1
    assert gpu.outcome_of("maps", "cpu", "tiny", tmp_path, 0.0)["outcome"] == "skipped: no time left"
    assert [gpu.exit_code([{"outcome": word}]) for word in ("done", "skipped: x")] == [0, 3]
