"""Every experiment at the size of a test: format, numbers, pictures, resumption, and one line for every mistake."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from command_line import call

from lensdask.data import file_sha256
from lensdask.errors import InputError
from lensdask.lss import PARAMETERS
from lensdask.reproduce import EXPERIMENTS, Job, run_experiment
from lensdask.reproduce.d4cnn.networks import recipe_of
from lensdask.reproduce.d4cnn.published import TABLE2
from lensdask.shear import RunOptions, read_recipe

ROW = {"quantity", "published", "published_error", "measured", "error", "unit", "comparable"}
PNG = b"\x89PNG\r\n\x1a\n"

TABLES = {"m1", "m2", "c1", "c2", "shape_noise_1", "shape_noise_2"}
PRINTED = {
    "d4cnn.figure6": {"ratio of shape noise at noise 0.594"},
    "d4cnn.figure8": {"A of e1", "A of e2", "B of e1", "B of e2"},
    "d4cnn.table2": TABLES,
    "d4cnn.speed": {"measurement of a galaxy on one CPU core", "training time"},
    "cha.figure2": {"loss (equation 8)"},
    "cha.figure3": {"slope by total least squares"},
    "cha.figure7": {"completeness"},
    "cha.figure8": {"mode of a map", "lowest of all maps", "highest of all maps"},
    "deeplss.table1": {"least value", "largest value", "fiducial value"},
    "deeplss.figure7": {"mean redshift"},
    "deeplss.figure10": {"trainable parameters"},
    "deeplss.table2": {f"gain in {name}" for name in (*PARAMETERS, "sigma8", "figure of merit")},
    "enn.table1": {"accuracy", "macro AUC"},
    "enn.table2": {"RMSE of m", "MSE of m", "MAE of m"},
    "miu2net.power": {"largest |power ratio - 1| below l = 500"},
}
"""Quantities of which the paper prints a number, at size tiny on a CPU; no tiny training set is among Table 3's."""


def quiet(if_exists="refuse"):
    return RunOptions(show_progress=False, device="cpu", if_exists=if_exists)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_result_file(results, name):
    result, directory = results(name)
    assert result == json.loads((directory / "result.json").read_text())
    assert (directory / f"{name}.png").read_bytes().startswith(PNG)
    assert result["experiment"] == name
    assert result["size"] == "tiny"
    assert result["claim"]
    assert result["note"] == EXPERIMENTS[name].note
    assert result["run"]["objects"] > 0
    assert result["run"]["quarantined"] == 0
    assert {"versions", "device", "wall_s", "objects_per_s"} <= set(result["run"])
    for row in result["rows"]:
        assert set(row) >= ROW
        assert math.isfinite(row["measured"])
        assert row["error"] is None or (math.isfinite(row["error"]) and row["error"] >= 0)
        assert row["comparable"] is False


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_rows_are_told_apart(results, name):
    rows = results(name)[0]["rows"]
    keys = [(row.get("series"), row["quantity"], row.get("x")) for row in rows]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_only_what_the_paper_prints_is_published(results, name):
    rows = results(name)[0]["rows"]
    published = {row["quantity"] for row in rows if row["published"] is not None}
    assert published == PRINTED.get(name, set())
    assert all(row["published"] is not None for row in rows if row["published_error"] is not None)


def test_table_2_stands_beside_the_right_networks(results):
    rows = results("d4cnn.table2")[0]["rows"]
    found = {(row["series"], row["quantity"]): (row["published"], row["published_error"]) for row in rows}
    assert len(found) == 18
    for name, series in (("d4cnn-fpfs", "D4CNN (GELU)"), ("d4cnn-relu", "D4CNN (ReLU)"), ("cnn", "CNN")):
        assert all(found[series, quantity] == numbers for quantity, numbers in TABLE2[name].items())


def test_figure_3_turns_exactly_and_figure_7_does_not(results):
    values = {
        name: {row["quantity"]: row["measured"] for row in results(name)[0]["rows"] if "x" not in row}
        for name in ("d4cnn.figure3", "d4cnn.figure7")
    }
    exact, plain = values["d4cnn.figure3"], values["d4cnn.figure7"]
    for quantity in ("largest sum of two galaxies 90 degrees apart", "largest residual at 0 and ±90 degrees"):
        assert exact[quantity] < 1e-6 < 1e-3 < plain[quantity]
    assert abs(exact["shift of e1"]) < 1e-6 < 1e-3 < abs(plain["shift of e1"])
    # A misplaced axis of the mirror would swap or negate e2.
    points = results("d4cnn.figure3")[0]["rows"]
    e2 = {row["x"]: row["measured"] for row in points if row.get("series") == "e2"}
    assert e2[45.0] == pytest.approx(-e2[-45.0], abs=1e-6)
    assert abs(e2[45.0]) > 100 * abs(e2[0.0])


def test_figure_8_has_an_even_term_without_the_symmetry_only(results):
    rows = results("d4cnn.figure8")[0]["rows"]
    values = {(row.get("series"), row["quantity"]): row["measured"] for row in rows}
    assert abs(values["D4CNN (GELU)", "Q of e1"]) < 1e-4 < 1e-3 < abs(values["CNN", "Q of e1"])
    assert values["D4CNN (GELU)", "scatter of e1 about the fit"] < 1e-6


def test_profiles_are_measured_on_the_device_of_the_job(tmp_path, monkeypatch):
    devices = []

    def measured(images, *_, device, **__):
        devices.append(device)
        return np.zeros((len(images), 9))

    monkeypatch.setattr(Job, "device_here", "elsewhere")
    monkeypatch.setattr("lensdask.reproduce.d4cnn.profiles.network", lambda _job, _name: "fpfs")
    monkeypatch.setattr("lensdask.reproduce.d4cnn.profiles.measure_stamps", measured)
    for name in ("d4cnn.figure3", "d4cnn.figure7", "d4cnn.figure8"):
        EXPERIMENTS[name].measure(Job(tmp_path, "tiny"))
    assert devices == ["elsewhere"] * 6


def test_same_seed_gives_the_same_rows(results, tmp_path):
    first = results("d4cnn.figure5")[0]
    assert run_experiment("d4cnn.figure5", tmp_path / "a", size="tiny", options=quiet())["rows"] == first["rows"]
    other = run_experiment("d4cnn.figure5", tmp_path / "b", size="tiny", seed=1, options=quiet())
    assert other["rows"] != first["rows"]


def test_interrupted_experiment_is_resumed(results, tmp_path, monkeypatch):
    import lensdask.reproduce.d4cnn.biases as biases

    compare, calls = biases.compare, []

    def interrupted(directory, **settings):
        calls.append(directory.name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return compare(directory, **settings)

    monkeypatch.setattr(biases, "compare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_experiment("d4cnn.figure4", tmp_path / "run", size="tiny", options=quiet())
    assert not (tmp_path / "run" / "result.json").exists()
    with pytest.raises(InputError, match="if_exists="):
        run_experiment("d4cnn.figure4", tmp_path / "run", size="tiny", options=quiet())
    resumed = run_experiment("d4cnn.figure4", tmp_path / "run", size="tiny", options=quiet("resume"))
    whole = results("d4cnn.figure4")[0]
    assert resumed["rows"] == whole["rows"]
    # Two of four setups were done before: what is counted is the last session, and said so.
    assert len(calls) == 3 + 4
    assert resumed["run"]["objects"] == whole["run"]["objects"] / 2
    assert (resumed["run"]["resumed"], whole["run"]["resumed"]) == (True, False)


def test_figure_4_measures_the_setup_that_its_series_share_once(results):
    result, directory = results("d4cnn.figure4")
    assert len(list((directory / "parts").glob("*/comparison.journal.jsonl"))) == 4
    shared = [(0.594, "image noise"), (0.85, "kernel FWHM (arcsec)")]
    first, second = (
        [row["measured"] for row in result["rows"] if (row.get("x"), row["series"]) == place] for place in shared
    )
    assert len(first) == 6
    assert first == second


def test_figure_5_says_how_large_m_is_beside_its_error(results):
    rows = results("d4cnn.figure5")[0]["rows"]
    series = "hard cut, with selection response"
    m = [row for row in rows if row["series"] == series and row["quantity"] in ("m1", "m2")]
    (pull,) = [row for row in rows if row["series"] == series and row["quantity"] == "largest |m| / error of 4 values"]
    assert pull["measured"] == max(abs(row["measured"]) / row["error"] for row in m)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_networks_are_named_by_their_checksums(results, name):
    result, directory = results(name)
    files = EXPERIMENTS[name].networks(Job(directory, "tiny", study=directory.parent / "study"))
    assert result["networks"] == {path.stem: file_sha256(path) for path in files}
    # What is trained for no other experiment is all there is.
    parts = directory / "parts" / "networks"
    assert set(parts.glob("*.safetensors")) == {path for path in files if path.is_relative_to(parts)}


def test_finished_experiment_is_not_repeated(results, monkeypatch):
    result, directory = results("d4cnn.table3")
    monkeypatch.setattr("lensdask.reproduce.d4cnn.biases.compare", None)
    monkeypatch.setattr("lensdask.reproduce.d4cnn.networks.train", None)
    assert run_experiment("d4cnn.table3", directory, size="tiny", options=quiet("resume")) == result


@pytest.mark.parametrize(
    ("name", "label", "activation", "equivariant"),
    [
        ("d4cnn", "distortion", "gelu", True),
        ("d4cnn-fpfs", "fpfs", "gelu", True),
        ("d4cnn-relu", "fpfs", "relu", True),
        ("cnn", "fpfs", "gelu", False),
    ],
)
def test_paper_size_trains_by_the_recipe_of_the_paper(name, label, activation, equivariant):
    recipe = recipe_of(name, "paper")
    assert (recipe.label, recipe.network.activation, recipe.network.equivariant) == (label, activation, equivariant)
    network = replace(recipe.network, activation="gelu", equivariant=True)
    committed = read_recipe("d4cnn-paper")
    assert replace(recipe, label="distortion", network=network) == committed


def test_command_line(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    arguments = ("reproduce", "d4cnn.figure3", "out", "--size", "tiny", "--device", "cpu")
    assert call(monkeypatch, *arguments, "--json") == 0
    assert json.loads(capfd.readouterr().out) == json.loads((tmp_path / "out" / "result.json").read_text())
    assert call(monkeypatch, *arguments, "--overwrite") == 0
    printed = capfd.readouterr().out
    assert "amplitude A" in printed
    assert EXPERIMENTS["d4cnn.figure3"].claim in printed
    assert "picture: out/d4cnn.figure3.png" in printed
    assert call(monkeypatch, "reproduce", "--list") == 0
    listed = capfd.readouterr().out
    assert all(name in listed for name in EXPERIMENTS)


@pytest.fixture
def other(tmp_path):
    """Make the directory of another experiment, and one of somebody's files."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "experiment.json").write_text(
        json.dumps({"experiment": "d4cnn.figure5", "size": "tiny", "seed": 0})
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["d4cnn.figure2", "new"], "d4cnn.figure2"),
        (["d4cnn.figure3", "new", "--size", "huge"], "size 'huge'"),
        (["d4cnn.figure3", "new", "--device", "tpu"], "device: 'tpu'"),
        (["d4cnn.figure3", "new", "--seed", "-1"], "seed"),
        (["d4cnn.figure4", "new", "--size", "small", "--cluster", "nowhere.json"], "no such scheduler file"),
        (["d4cnn.figure3", "mine"], "--resume"),
        (["d4cnn.figure3", "mine", "--overwrite"], "no experiment"),
        (["d4cnn.figure3", "other", "--overwrite"], "d4cnn.figure5"),
        (["d4cnn.figure3", "other", "--resume"], "d4cnn.figure5"),
        (["d4cnn.figure5", "other", "--resume", "--seed", "1"], "seed 0"),
        (["d4cnn.figure5", "other", "--resume", "--overwrite"], "--resume and --overwrite"),
        (["d4cnn.figure3", "file"], "a file"),
    ],
)
def test_mistake_gets_one_line_and_leaves_nothing(other, monkeypatch, capfd, arguments, message):
    monkeypatch.chdir(other)
    before = sorted(path.relative_to(other) for path in other.rglob("*"))
    size = [] if "--size" in arguments else ["--size", "tiny"]
    assert call(monkeypatch, "reproduce", *arguments, *size) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("lensdask: ")
    assert message in line
    assert sorted(path.relative_to(other) for path in other.rglob("*")) == before
