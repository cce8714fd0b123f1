"""Catalogues that are binned block after block: the same maps to the bit, in a memory that does not grow with them."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.errors import InputError
from lensdask.maps.pixelisation import bin_blocks, bin_catalogue
from lensdask.maps.tiling import tile_blocks, tile_catalogue

COUNT = 300


def catalogue(seed: int) -> dict[str, np.ndarray]:
    """Return galaxies across the end of right ascension."""
    rng = np.random.default_rng(seed)
    g1, g2 = rng.normal(0, 0.2, (2, COUNT))
    x, y = (359.9 + rng.uniform(-0.2, 0.3, COUNT)) % 360, rng.uniform(-0.3, 0.2, COUNT)
    weight, error = rng.uniform(0.1, 2, COUNT), rng.uniform(0, 0.2, COUNT)
    return {"x": x, "y": y, "g1": g1, "g2": g2, "weight": weight, "measurement_error": error}


def cut(rows: dict[str, np.ndarray], ends: list[int]) -> list[dict[str, np.ndarray]]:
    bounds = sorted({0, COUNT, *ends})
    return [{name: column[start:stop] for name, column in rows.items()} for start, stop in pairwise(bounds)]


def same(found: xr.Dataset, expected: xr.Dataset) -> None:
    # The hash of the content is among the attributes.
    xr.testing.assert_identical(found.load(), expected.load())


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    ends=st.lists(st.integers(1, COUNT - 1), max_size=8),
    sky=st.booleans(),
    sigma_e=st.sampled_from([None, 0.25]),
    grid=st.sampled_from([{}, {"shape": (30, 30), "centre": (359.95, 0.0), "drop_outside": True}]),
)
def test_maps_do_not_depend_on_where_blocks_end(seed, ends, sky, sigma_e, grid) -> None:
    rows = catalogue(seed)
    options = {"pixel_scale": 1.0, "sky": sky, "sigma_e": sigma_e, "source": "lsst"} | grid
    same(bin_blocks(cut(rows, ends), **options), bin_catalogue(**rows, **options))


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    ends=st.lists(st.integers(1, COUNT - 1), max_size=8),
    sigma_e=st.sampled_from([None, 0.25]),
)
def test_nor_do_tiles(seed, ends, sigma_e) -> None:
    rows = catalogue(seed)
    options = {"pixel_scale": 1.0, "shape": (12, 16), "overlap": 3.0, "sigma_e": sigma_e}
    whole = tile_catalogue(ra=rows.pop("x"), dec=rows.pop("y"), **rows, **options)
    assert whole.sizes["field"] > 3
    same(tile_blocks(cut(catalogue(seed), ends), **options), whole)


def test_errors_count_the_whole_catalogue() -> None:
    rows = catalogue(0)
    rows["g1"][[3, 100, 200, 299, 0, 1, 2]] = 1.2
    with pytest.raises(InputError, match=r"\|g\| is 1 or more for 7 of 300 galaxies"):
        bin_blocks(cut(rows, [50, 150]), pixel_scale=1.0)
    rows = catalogue(0)
    options = {"pixel_scale": 1.0, "sky": True, "shape": (10, 10), "centre": (359.95, 0.0)}
    with pytest.raises(InputError, match="of 300 galaxies are off the grid") as expected:
        bin_catalogue(**rows, **options)
    with pytest.raises(InputError) as found:
        bin_blocks(cut(rows, [7, 250]), **options)
    assert str(found.value) == str(expected.value)


# Peak memory

PROGRAM = """
from lensdask.cli import main
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""
"""The command, and the peak of its own memory: that of getrusage holds the memory of its parent, too."""


def save(path: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    columns = {"ra": rng.uniform(150, 152, count), "dec": rng.uniform(0, 2, count)}
    columns |= {name: rng.normal(0, 0.25, count) for name in ("g1", "g2")} | {"weight": rng.uniform(0.5, 1, count)}
    if path.suffix == ".fits":
        Table(columns).write(path)
        return
    import pyarrow as pa
    from pyarrow import csv, parquet

    table = pa.table(columns)
    if path.suffix == ".csv":
        csv.write_csv(table, path)
    else:
        parquet.write_table(table, path, row_group_size=2**18)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("name", ["a.fits", "a.parquet", "a.csv"])
def test_memory_does_not_grow_with_the_catalogue(tmp_path, name) -> None:
    peaks = []
    # Read at once, the second takes 200 MB more than the first.
    for count in (400_000, 1_200_000):
        save(tmp_path / name, count)
        arguments = ["massmap", "bin", name, f"{count}.zarr", "--shape", "60,60", "--pixel-scale", "2.0"]
        command = [sys.executable, "-c", PROGRAM, *arguments, "--drop-outside"]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        peaks.append(int(done.stdout.split()[-1]) / 1024)
        (tmp_path / name).unlink()
    print(f"{name}: {peaks[0]:.0f} and {peaks[1]:.0f} MiB")
    assert peaks[1] < peaks[0] + 40
