"""``lensdask lss import`` as a user meets it."""

import json

import numpy as np
from command_line import call
from mock_skies import COSMOLOGY, EDGES, describe, write_cosmogrid

import lensdask

THREADS = ("--cluster", "threads", "--workers", 1)


def test_import(tmp_path, monkeypatch, capfd):
    maps = np.random.default_rng(1).integers(0, 9, (2, 12 * 512**2), np.uint8)
    write_cosmogrid(tmp_path / "run.npz", maps, EDGES[[0, 3, 7]], COSMOLOGY)
    skies, store = describe(tmp_path / "skies.toml", "cosmogrid", ["run.npz"]), tmp_path / "tiles.zarr"
    assert call(monkeypatch, "lss", "import", skies, store, "--tiles", 2, *THREADS, "--json") == 0
    told = capfd.readouterr()
    assert json.loads(told.out)["run"]["objects"] == 1
    assert "nside 512, pixels of 6.87 arcmin, wider than the 4.6875 of a tile's pixels" in told.err
    tiles = lensdask.open(store)
    assert tiles["map"].shape == (1, 1, 2, 3, 4, 64, 64)
    assert np.isfinite(tiles["map"].values).all()
    assert tiles["map"].std(("tile", "y", "x")).values.min() > 0
    assert call(monkeypatch, "lss", "import", skies, store, "--tiles", 2, *THREADS) == 2
    assert "--resume" in capfd.readouterr().err
    assert call(monkeypatch, "lss", "import", skies, tmp_path / "no.zarr", "--tiles", 9999, *THREADS) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "tiles: 9999; expected a whole number from 1 to 1554, as many of 5 degrees as do not overlap" in lines[0]
    assert not (tmp_path / "no.zarr").exists()
