"""``lensdask stronglens`` as a user meets it: from images to classes, and one line for every mistake."""

import json

import numpy as np
import pytest
from command_line import call

import lensdask
from lensdask.data import load_card
from lensdask.stronglens import simulate

THREADS = ("--cluster", "threads", "--workers", 1)


def test_simulate(tmp_path, monkeypatch, capfd):
    store = tmp_path / "lenses.zarr"
    about = ("--preset", "deeplensesim", "--survey", "hst", "--images", 6, "--size", 16, "--angle", 20)
    arguments = ("stronglens", "simulate", store, *about, *THREADS)
    assert call(monkeypatch, *arguments, "--json") == 0
    assert json.loads(capfd.readouterr().out)["run"]["objects"] == 6
    lenses = lensdask.open(store)
    assert lenses["image"].shape == (6, 16, 16)
    assert np.isfinite(lenses["image"].values).all()
    assert (lenses.attrs["angle"], lenses.attrs["noise"], lenses.attrs["signal"]) == (20.0, "none", "as-coded")
    assert call(monkeypatch, *arguments) == 2
    assert "--resume" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--preset", "other"), "preset: 'other'"),
        (("--survey", "roman"), "survey: 'roman'"),
        (("--classes", "none,wdm"), "classes: none,wdm"),
        (("--signal", "negative.toml"), "negative.toml: least_mass: -1"),
        (("--size", 63), "size: 63; expected an even number of pixels"),
        (("--size", 4), "outside of images of 4 pixels"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capfd, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "negative.toml").write_text("least_mass = -1\n")
    assert call(monkeypatch, "stronglens", "simulate", "no.zarr", "--images", 3, *arguments, *THREADS) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "no.zarr").exists()


def test_fit(tmp_path, monkeypatch, capfd):
    lenses, fits = tmp_path / "lenses.zarr", tmp_path / "fits.zarr"
    assert call(monkeypatch, "stronglens", "simulate", lenses, "--images", 3, "--size", 32, *THREADS) == 0
    capfd.readouterr()
    assert call(monkeypatch, "stronglens", "fit", lenses, fits, *THREADS, "--json") == 0
    assert json.loads(capfd.readouterr().out)["run"]["objects"] == 3
    found = lensdask.open(fits)
    np.testing.assert_allclose(found["chi2"], (found["residual"] ** 2).sum(("y", "x")), rtol=1e-5)
    assert call(monkeypatch, "stronglens", "fit", lenses, tmp_path / "no.zarr", "--survey", "hst", *THREADS) == 2
    assert "survey: pixels of 0.08 arcsec; expected 0.101" in capfd.readouterr().err
    assert not (tmp_path / "no.zarr").exists()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with lenses to learn from, lenses to test on, and a network of the former."""
    folder = tmp_path_factory.mktemp("stronglens")
    for name, seed in (("known", 1), ("lenses", 2)):
        lensdask.write(simulate(images=60, preset="deeplensesim", size=32, seed=seed), folder / f"{name}.zarr")
    with pytest.MonkeyPatch.context() as patch:
        assert call(patch, "stronglens", "train", folder / "net.safetensors", *learning(folder)) == 0
    return folder


def learning(folder, *more):
    return ("--lenses", folder / "known.zarr", "--config", "lens-tiny", "--device", "cpu", *more)


def test_from_lenses_to_scores(made, tmp_path, monkeypatch, capfd):
    store, network = tmp_path / "p.zarr", made / "net.safetensors"
    words = ("stronglens", "classify", made / "lenses.zarr", store, "--network", network, *THREADS)
    capfd.readouterr()
    assert call(monkeypatch, *words, "--json") == 0
    assert json.loads(capfd.readouterr().out)["run"]["objects"] == 60
    np.testing.assert_allclose(lensdask.open(store)["probability"].sum("class"), 1, rtol=1e-5)
    assert call(monkeypatch, *words) == 2
    assert "--resume" in capfd.readouterr().err
    words = ("stronglens", "evaluate", store, made / "lenses.zarr", tmp_path / "out", "--resamplings", 20, *THREADS)
    assert call(monkeypatch, *words, "--json") == 0
    result = json.loads(capfd.readouterr().out)
    assert result == json.loads((tmp_path / "out" / "result.json").read_text())
    assert {row["quantity"] for row in result["rows"]} >= {"accuracy", "macro AUC", "NLL", "ECE", "called cdm"}
    assert (tmp_path / "out" / "evaluation.png").stat().st_size > 10_000
    assert call(monkeypatch, *words, "--resume") == 0
    printed = capfd.readouterr().out
    assert "net, 60 lenses" in printed
    assert "ECE of perfect calibration" in printed
    assert "evaluation.png" in printed


def test_masses(made, tmp_path, monkeypatch, capfd):
    network, store = tmp_path / "mass.safetensors", tmp_path / "p.zarr"
    assert call(monkeypatch, "stronglens", "train", network, *learning(made, "--task", "mass"), "--json") == 0
    card = json.loads(capfd.readouterr().out)
    assert card == load_card(network)
    assert card["error_scale"] > 0
    assert (card["recipe"]["task"], card["survey"]) == ("mass", "euclid")
    assert card["validation"]["lenses"] == card["lenses"]["validation"]
    words = ("classify", made / "lenses.zarr", store, "--network", network)
    assert call(monkeypatch, "stronglens", *words, *THREADS) == 0
    words = ("evaluate", store, made / "lenses.zarr", tmp_path / "out", "--resamplings", 20)
    assert call(monkeypatch, "stronglens", *words, *THREADS) == 0
    assert "RMSE of a constant (dex)" in capfd.readouterr().out
    assert (tmp_path / "out" / "evaluation.png").stat().st_size > 10_000


def test_a_published_set(tmp_path, monkeypatch, capfd):
    for folder in ("no_sub", "cdm"):
        (tmp_path / "set" / folder).mkdir(parents=True)
        np.save(tmp_path / "set" / folder / "0.npy", np.ones((16, 16)))
    words = ("stronglens", "import", tmp_path / "set", tmp_path / "lenses.zarr", "--survey", "hst")
    assert call(monkeypatch, *words) == 0
    assert "2 lenses of 16 x 16 pixels" in capfd.readouterr().out
    lenses = lensdask.open(tmp_path / "lenses.zarr")
    assert (lenses["label"].values.tolist(), lenses.attrs["pixel_scale"]) == ([0, 1], 0.08)
    assert call(monkeypatch, *words) == 2
    assert "--overwrite" in capfd.readouterr().err
    np.save(tmp_path / "set" / "cdm" / "0.npy", np.array([np.ones((16, 16)), 1e-23], dtype=object))
    assert call(monkeypatch, *words, "--overwrite") == 2
    assert "numpy.savez(NAME, image=..., mass=...)" in capfd.readouterr().err


def test_lenses_unlike_those_of_the_training_are_told_of_on_one_line(made, tmp_path, monkeypatch, capfd):
    lensdask.write(simulate(images=3, preset="deeplensesim", size=32, noise=True), tmp_path / "noisy.zarr")
    words = ("stronglens", "classify", tmp_path / "noisy.zarr", tmp_path / "p.zarr")
    capfd.readouterr()
    assert call(monkeypatch, *words, "--network", made / "net.safetensors", *THREADS) == 0
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("lensdask:")]
    assert len(told) == 1
    assert "net is for noise none; the lenses have noise survey" in told[0]


MISTAKES = [
    (("train", "n.safetensors", "--lenses", "no.zarr"), "no.zarr does not exist"),
    (("train", "n.safetensors", "--lenses", "{known}", "--network", "vit"), "network: 'vit'"),
    (("train", "n.safetensors", "--lenses", "{known}", "--task", "find"), "task: 'find'"),
    (("train", "n.safetensors", "--lenses", "{known}", "--network", "c8", "--config", "lens-tiny"), "network: 'c8'"),
    (("train", "n.safetensors", "--lenses", "{known}", "--per-class", "50"), "per_class: 50"),
    (("train", "n.zip", "--lenses", "{known}"), "expected .safetensors"),
    (("classify", "{lenses}", "p.zarr", "--network", "no.safetensors"), "no.json cannot be read"),
    (("classify", "{lenses}", "p.zarr", "--network", "best"), "network 'best' is unknown"),
    (("classify", "{lenses}", "{lenses}", "--network", "{net}"), "both input and output"),
    (("classify", "no.zarr", "p.zarr", "--network", "{net}"), "no.zarr does not exist"),
    (("evaluate", "{lenses}", "{lenses}", "out"), "a store of lenses; expected one of lens_predictions"),
    (("classify", "{lenses}", "{lenses}/p.zarr", "--network", "{net}"), "p.zarr is inside of"),
    (("import", "no", "lenses.zarr"), "no: no images"),
    (("import", "no", "memory://lenses.zarr"), "memory://lenses.zarr: gone when the command ends"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_mistakes_are_told_in_one_line(words, message, made, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    places = {"known": made / "known.zarr", "lenses": made / "lenses.zarr", "net": made / "net.safetensors"}
    capfd.readouterr()
    assert call(monkeypatch, "stronglens", *(word.format(**places) for word in words)) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not list(tmp_path.iterdir())
