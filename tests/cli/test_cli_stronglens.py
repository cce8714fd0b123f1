"""``lensdask stronglens simulate`` as a user meets it."""

import json

import numpy as np
import pytest
from command_line import call

import lensdask

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
