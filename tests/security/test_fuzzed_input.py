"""Files that are damaged or absurd: one line and exit code 2, or a finite result; never a traceback, never a hang."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from command_line import call
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import lensdask
from lensdask.errors import InputError
from lensdask.shear.shapes.estimator import SHIPPED_WEIGHTS

FEW = settings(
    max_examples=15,
    deadline=10_000,
    derandomize=True,
    database=None,
    # A failure of a command says enough by itself.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

THREADS = ("--cluster", "threads", "--workers", 1)

DEEP = "[" * 5000 + "]" * 5000

NUMBERS = (0, -1, 1, 2, 10**9, 10**12, 10**23, 10**400, 1e9, -1e300, math.inf, -math.inf, math.nan)

OTHERS = (True, None, "", "x", "[", [], [1e9], [0], [None], ["x"], [10**9] * 5, {}, {"x": 1})

ABSURD = st.sampled_from((*NUMBERS, *OTHERS))


def told(capfd, code: int) -> None:
    """Check how a command ended."""
    printed = capfd.readouterr()
    assert "Traceback" not in printed.err
    assert code in (0, 2), printed.err
    if code == 2:
        (line,) = printed.err.splitlines()
        assert line.startswith("lensdask: ")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lensdask.compute.clusters._CONNECT_SECONDS", 0.2)
    return tmp_path


SCHEDULER = {"type": "Scheduler", "id": "Scheduler-1", "address": "tcp://127.0.0.1:1", "services": {}, "workers": {}}


@FEW
@given(name=st.sampled_from([*SCHEDULER, "none"]), value=ABSURD | st.text(max_size=20), cut=st.integers(0, 200))
def test_scheduler_files(here, monkeypatch, capfd, name, value, cut):
    text = json.dumps(SCHEDULER | {name: value})
    Path("scheduler.json").write_text(text[: len(text) - cut] if cut < 20 else text)
    told(capfd, call(monkeypatch, "shear", "bias", "run", "--galaxies", 8, "--cluster", "scheduler.json"))
    assert [path.name for path in here.iterdir()] == ["scheduler.json"]


@pytest.mark.parametrize("text", [DEEP, '{"address": ' + DEEP + "}", "{" * 5000, "", "null", "\0", '"x"', "1e999"])
def test_brackets_and_other_texts(here, monkeypatch, capfd, text):
    for name in ("scheduler.json", "net.json", "recipe.toml"):
        Path(name).write_text(text if name.endswith("json") else f"channels = {text}")
    shutil.copy(SHIPPED_WEIGHTS["d4cnn"], "net.safetensors")
    run = ("shear", "bias", "run", "--galaxies", 8)
    told(capfd, call(monkeypatch, *run, "--cluster", "scheduler.json"))
    told(capfd, call(monkeypatch, *run, "--estimator", "net.safetensors"))
    told(capfd, call(monkeypatch, "shear", "train", "new.safetensors", "--config", "recipe.toml"))
    told(capfd, call(monkeypatch, "massmap", "train", "new.safetensors", "--config", "recipe.toml"))
    told(capfd, call(monkeypatch, "stronglens", "simulate", "new.zarr", "--images", 3, "--signal", "recipe.toml"))
    told(capfd, call(monkeypatch, "lss", "import", "recipe.toml", "new.zarr"))
    assert {path.name for path in here.iterdir()} == {"net.json", "net.safetensors", "recipe.toml", "scheduler.json"}


CARD = json.loads(SHIPPED_WEIGHTS["d4cnn"].with_suffix(".json").read_text())


@FEW
@given(name=st.sampled_from([*CARD["config"], "architecture", "config", "sha256"]), value=ABSURD)
def test_cards(here, monkeypatch, capfd, name, value):
    """A card that is accepted would be measured with; here nothing is."""
    monkeypatch.setattr("lensdask.shear.runs.run", _accepted)
    shutil.copy(SHIPPED_WEIGHTS["d4cnn"], "net.safetensors")
    card = CARD | {name: value} if name in CARD else CARD | {"config": CARD["config"] | {name: value}}
    Path("net.json").write_text(json.dumps(card))
    code = call(monkeypatch, "shear", "bias", "run", "--galaxies", 4, "--estimator", "net.safetensors", *THREADS)
    told(capfd, code)
    assert sorted(path.name for path in here.iterdir()) == ["net.json", "net.safetensors"]


def _accepted(*_, **__):
    raise InputError("accepted; expected nothing else")


RECIPES = {
    "shear": ("galaxies", "validation", "signal_to_noise", "magnitude_limit", "seed", "label"),
    "massmap": ("fields", "validation", "exponent", "ring_weight", "start", "seed"),
}
TABLES = {
    "network": (
        "channels",
        "strides",
        "grid_points",
        "kernel_size",
        "hidden",
        "grid_spacing",
        "large_kernel",
        "inputs",
    ),
    "training": ("epochs", "batch", "micro_batch", "learning_rate", "schedule", "minimum_rate"),
    "sky": ("size", "pixel_scale", "resolution", "source"),
}


def in_toml(value: object) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {in_toml(part)}" for name, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(in_toml, value)) + "]"
    return str(value) if isinstance(value, float) else json.dumps(value)


@FEW
@given(pillar=st.sampled_from([*RECIPES]), place=st.integers(0, 100), value=ABSURD)
def test_recipes(here, monkeypatch, capfd, pillar, place, value):
    """A recipe that is accepted would train; here its examples are refused."""

    for module in ("shear.networks.training._training_sets", "massmap.networks.training._field_sets"):
        monkeypatch.setattr(f"lensdask.{module}", _accepted)
    names = [("", name) for name in RECIPES[pillar]] + [(t, name) for t, names in TABLES.items() for name in names]
    table, name = names[place % len(names)]
    Path("recipe.toml").write_text(f"[{table}]\n" * bool(table) + f"{name} = {in_toml(value)}\n")
    assert call(monkeypatch, pillar, "train", "new.safetensors", "--config", "recipe.toml") == 2
    lines = capfd.readouterr().err.splitlines()
    assert lines[-1].startswith("lensdask: ")
    assert not any("Traceback" in line for line in lines)
    assert [path.name for path in here.iterdir()] == ["recipe.toml"]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    random = np.random.default_rng(5)
    path = tmp_path_factory.mktemp("catalogue") / "galaxies.fits"
    columns = {"ra": 10 + random.random(64) / 10, "dec": random.random(64) / 10}
    columns |= {name: random.normal(0, 0.2, 64) for name in ("g1", "g2")} | {"weight": np.ones(64)}
    Table(columns).write(path)
    return path.read_bytes()


@FEW
@given(
    flips=st.lists(st.tuples(st.integers(0, 8640 * 8 - 1)), max_size=3),
    length=st.integers(0, 12_000),
)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("here")
def test_tables(monkeypatch, capfd, catalogue, flips, length):
    data = bytearray(catalogue)
    for (bit,) in flips:
        data[bit // 8 % len(data)] ^= 1 << bit % 8
    Path("galaxies.fits").write_bytes(data[:length] if length < len(data) else data)
    shutil.rmtree("maps.zarr", ignore_errors=True)
    code = call(monkeypatch, "massmap", "bin", "galaxies.fits", "maps.zarr", "--pixel-scale", 1, "--sigma-e", 0.2)
    printed = capfd.readouterr()
    assert "Traceback" not in printed.err
    assert code in (0, 2), printed.err
    if code == 2:
        assert printed.err.splitlines()[-1].startswith("lensdask: ")
        assert not Path("maps.zarr").exists()
    else:
        maps = lensdask.open("maps.zarr").load()
        seen = maps["count"].values > 0
        assert all(np.isfinite(maps[name].values[seen]).all() for name in ("g1", "g2", "weight"))
