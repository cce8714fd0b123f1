"""Runs read stores behind URLs, here and on workers, and write on this machine alone."""

import json
from contextlib import suppress

import fsspec
import pytest
import xarray as xr
from command_line import call
from mass_stores import shear_store_dataset

from lensdask import data
from lensdask.compute import RunOptions, status
from lensdask.errors import InputError
from lensdask.massmap import reconstruct_run
from lensdask.shear import measure_run, simulate_run

QUIET = RunOptions(show_progress=False)


@pytest.fixture(scope="module")
def stamps(tmp_path_factory):
    path = tmp_path_factory.mktemp("stamps") / "stamps.zarr"
    simulate_run(path, galaxies=6, options=QUIET)
    return path


@pytest.fixture
def memory():
    yield "memory://runs"
    with suppress(FileNotFoundError):
        fsspec.filesystem("memory").rm("/runs", recursive=True)


@pytest.mark.parametrize("cluster", ["here", "threads"])
def test_stamps_in_memory_are_measured(stamps, memory, tmp_path, cluster):
    options = QUIET if cluster == "here" else RunOptions(cluster="threads", workers=1, show_progress=False)
    data.write(data.open(stamps), f"{memory}/stamps.zarr")
    for name, place in (("a", stamps), ("b", f"{memory}/stamps.zarr")):
        measure_run(place, tmp_path / f"{name}.zarr", estimator="fpfs", options=options)
    found, wanted = (data.open(tmp_path / f"{name}.zarr").load() for name in "ba")
    xr.testing.assert_identical(found, wanted)
    assert status(tmp_path / "b.zarr").left == 0


def test_fields_in_memory_are_reconstructed(memory, tmp_path):
    maps = shear_store_dataset(2)
    for folder in (tmp_path, memory):
        data.write(maps, f"{folder}/maps.zarr")
        reconstruct_run(f"{folder}/maps.zarr", tmp_path / f"{len(str(folder))}.zarr", method="ks93", options=QUIET)
    wanted, found = (data.open(tmp_path / f"{len(str(folder))}.zarr").load() for folder in (tmp_path, memory))
    xr.testing.assert_identical(found, wanted)


def test_the_command_reads_a_bucket_on_workers(stamps, bucket, tmp_path, monkeypatch, capfd):
    url = f"{bucket}/stamps.zarr"
    data.write(data.open(stamps), url)
    command = ("shear", "measure", url, tmp_path / "b.zarr", "--estimator", "fpfs")
    assert call(monkeypatch, *command, "--cluster", "local", "--workers", 1) == 0
    measure_run(stamps, tmp_path / "a.zarr", estimator="fpfs", options=QUIET)
    xr.testing.assert_identical(data.open(tmp_path / "b.zarr").load(), data.open(tmp_path / "a.zarr").load())
    capfd.readouterr()
    assert call(monkeypatch, "verify", url, "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["store"], found["damage"]) == (url, {})


def test_what_a_run_writes_is_on_this_machine(stamps, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    commands = [
        ("shear", "measure", stamps, "s3://bucket/b.zarr", "--estimator", "fpfs"),
        ("shear", "bias", "memory://run", "--galaxies", 4, "--estimator", "fpfs"),
        ("status", "s3://bucket/b.zarr"),
    ]
    for command in commands:
        assert call(monkeypatch, *command) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert "://" in line
        assert "cannot be behind a URL; expected a path of this machine" in line
    assert not list(tmp_path.iterdir())


def test_a_store_that_is_lost_is_a_line(memory, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for command in (("verify", f"{memory}/a.zarr"), ("shear", "measure", f"{memory}/a.zarr", "b.zarr")):
        assert call(monkeypatch, *command) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith("lensdask: memory://runs/a.zarr does not exist; expected")
    assert not list(tmp_path.iterdir())


def test_a_chunk_that_is_lost_stops_the_run(stamps, memory, tmp_path):
    data.write(data.open(stamps), f"{memory}/stamps.zarr")
    system = fsspec.filesystem("memory")
    chunk = next(file for file in system.find("/runs/stamps.zarr/image") if "/c/" in file)
    system.rm_file(chunk)
    with pytest.raises(InputError, match=f"memory:/{chunk} is missing"):
        measure_run(f"{memory}/stamps.zarr", tmp_path / "b.zarr", estimator="fpfs", options=QUIET)
    assert not list(tmp_path.iterdir())
