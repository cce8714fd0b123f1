"""``lensdask lss simulate`` as a user meets it."""

import json

import numpy as np
import pytest
from command_line import call

import lensdask

THREADS = ("--cluster", "threads", "--workers", 1)


def test_simulate(tmp_path, monkeypatch, capfd):
    store = tmp_path / "tiles.zarr"
    arguments = ("lss", "simulate", store, "--cosmologies", "calibration:1", "--seeds", 1, "--tiles", 2, *THREADS)
    assert call(monkeypatch, *arguments, "--json") == 0
    assert json.loads(capfd.readouterr().out)["run"]["objects"] == 1
    tiles = lensdask.open(store)
    assert tiles["map"].shape == (1, 1, 2, 3, 4, 64, 64)
    assert np.isfinite(tiles["map"].values).all()
    assert tiles["split"].item() == "test"
    assert call(monkeypatch, *arguments) == 2
    assert "--resume" in capfd.readouterr().err


def test_simulate_particles(tmp_path, monkeypatch):
    store = tmp_path / "tiles.zarr"
    about = ("--sky", "nbody", "--particles", 8, "--side", 500, "--steps", 3)
    arguments = ("--cosmologies", 1, "--seeds", 1, "--tiles", 3, *about)
    assert call(monkeypatch, "lss", "simulate", store, *arguments, *THREADS) == 0
    tiles = lensdask.open(store)
    assert np.isfinite(tiles["map"].values).all()
    assert list(tiles.attrs["box"]) == [8, 500.0, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sky", "other"), "expected lognormal or nbody"),
        (("--particles", 16), "box: particles, side or steps of a simulation; expected none with --sky lognormal"),
        (("--sky", "nbody", "--particles", 17), "particles: 17; expected an even number"),
        (("--sky", "nbody", "--side", 0), "side: 0.0; expected a number from 50 to 2000 (Mpc)"),
        (("--sky", "nbody", "--steps", 1), "steps: 1"),
        (("--cosmologies", 99), "from 1 to 57"),
        (("--cosmologies", "none.txt"), "expected a text file with Ω_m and σ₈ in each row"),
        (("--seeds", 0), "seeds: 0"),
        (("--n-of-z", "negative.txt"), "negative.txt: n(z) of bin 2: least value -1.0; expected numbers zero or more"),
        (("--n-of-z", "zero.txt"), "n(z) of bin 4: no galaxies"),
        (("--n-of-z", "short.txt"), "short.txt: rows of 3; expected a text file with a redshift and n(z) of 4 bins"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capfd, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "negative.txt").write_text("0.1 1 -1 1 1\n0.9 1 1 1 1\n")
    (tmp_path / "zero.txt").write_text("0.1 1 1 1 0\n0.9 1 1 1 0\n")
    (tmp_path / "short.txt").write_text("0.1 1 1\n0.9 1 1\n")
    assert call(monkeypatch, "lss", "simulate", "no.zarr", *arguments, *THREADS) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "no.zarr").exists()
