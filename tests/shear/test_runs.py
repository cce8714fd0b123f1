"""Resumable runs as their users meet them: refused input, results on record, stamps that were replaced."""

import json
import shutil
import traceback
from pathlib import Path

import dask
import numpy as np
import pytest

import lensdask
from lensdask.compute import refer_to
from lensdask.data import write
from lensdask.errors import InputError
from lensdask.shear import (
    Observation,
    RunOptions,
    draw_psf,
    make_stamps,
    measure,
    measure_run,
    measure_stamps,
    run_bias,
    simulate_run,
)
from lensdask.shear import runs as runs_module
from lensdask.shear.imaging import imaging_of_stamps
from lensdask.shear.shapes.estimator import SHIPPED_WEIGHTS, find_estimator
from lensdask.shear.shapes.measurement import as_table
from lensdask.shear.tasks import MeasureBias, MeasureStamps

QUIET = {"show_progress": False}
NOISY = Observation()


def noise_stamps(seed=0, count=8):
    images = np.random.default_rng(seed).normal(size=(count, NOISY.size, NOISY.size))
    return make_stamps(images, draw_psf(NOISY), pixel_scale=NOISY.pixel_scale, noise_sigma=1.0)


@pytest.mark.parametrize(
    ("chunk", "told", "left"), [(2, r"numbers; 3 of \d+ chunks done and kept", 3), (8, "numbers$", 1)]
)
def test_broken_pixels_in_a_store_are_named_and_nothing_half_written_is_left(tmp_path, chunk, told, left):
    stamps = noise_stamps()
    stamps["image"][6, 3, 3] = np.nan
    write(stamps, tmp_path / "stamps.zarr", chunk=chunk)
    with pytest.raises(InputError, match=rf"not finite in galaxy 6; expected {told}"):
        measure_run(tmp_path / "stamps.zarr", tmp_path / "shapes.zarr", estimator="fpfs", options=RunOptions(**QUIET))
    assert len(list(tmp_path.iterdir())) == left


def test_images_in_the_byte_order_of_fits_files_are_measured():
    stamps = noise_stamps()
    images, ids = stamps["image"].values, stamps["galaxy"].values
    arguments = ids, imaging_of_stamps(stamps), find_estimator("fpfs")
    expected = measure_stamps(images, *arguments, seed=0)
    np.testing.assert_array_equal(measure_stamps(images.astype(">f4"), *arguments, seed=0), expected)
    np.testing.assert_allclose(measure_stamps(images.astype(">f8"), *arguments, seed=0), expected, rtol=1e-6)


def test_no_galaxies_have_an_empty_table():
    stamps = noise_stamps().isel(galaxy=slice(0))
    assert measure(stamps, "fpfs", device="cpu").sizes["galaxy"] == 0
    assert measure(stamps.chunk(), "fpfs", device="cpu").load().sizes["galaxy"] == 0


@pytest.mark.parametrize("correlated", [False, True])
def test_a_task_reads_its_own_rows_in_its_own_thread(tmp_path, correlated):
    stamps = noise_stamps()
    if correlated:
        lag = np.zeros((NOISY.size, NOISY.size))
        lag[0, 0], lag[0, 1], lag[0, -1] = 1.0, 0.1, 0.1
        stamps["noise_correlation"] = (("lag_y", "lag_x"), lag)
    write(stamps, tmp_path / "stamps.zarr", chunk=2)
    task = MeasureStamps(refer_to(tmp_path / "stamps.zarr", stamps), find_estimator("fpfs"), 3)

    def elsewhere(*_arguments, **_settings):
        raise AssertionError("the scheduler that Dask has by default was asked to read")

    # The images of other tasks cannot be read.
    for other in ("0", "3"):
        (image,) = (file for file in (tmp_path / "stamps.zarr" / "image" / "c" / other).rglob("*") if file.is_file())
        image.write_bytes(b"damaged")
    with dask.config.set(scheduler=elsewhere):
        table, _ = task(2, 6, "cpu")
        with pytest.raises(InputError, match="is damaged"):
            task(2, 8, "cpu")
    part = stamps.isel(galaxy=slice(2, 6))
    arguments = part["galaxy"].values, imaging_of_stamps(part), find_estimator("fpfs")
    expected = as_table(measure_stamps(part["image"].values, *arguments, seed=3))
    assert set(table) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(table[name], values)


def test_resume_notices_that_stamps_were_replaced(tmp_path):
    paths = tmp_path / "stamps.zarr", tmp_path / "shapes.zarr"
    write(noise_stamps(0), paths[0])
    measure_run(*paths, estimator="fpfs", options=RunOptions(**QUIET))
    write(noise_stamps(1), paths[0], overwrite=True)
    with pytest.raises(InputError, match="another configuration"):
        measure_run(*paths, estimator="fpfs", options=RunOptions(if_exists="resume", **QUIET))


def test_a_run_may_move(tmp_path):
    simulate_run(tmp_path / "a" / "stamps.zarr", galaxies=4, options=RunOptions(**QUIET))
    measure_run(tmp_path / "a" / "stamps.zarr", tmp_path / "a" / "shapes.zarr", options=RunOptions(**QUIET))
    moved = (tmp_path / "a").rename(tmp_path / "b")
    again = measure_run(moved / "stamps.zarr", moved / "shapes.zarr", options=RunOptions(if_exists="resume", **QUIET))
    assert again.objects == 0


def test_resuming_a_finished_bias_test_keeps_its_times(tmp_path):
    run_bias(tmp_path, galaxies=8, estimator="fpfs", options=RunOptions(**QUIET))
    first = json.loads((tmp_path / "result.json").read_text())
    run_bias(tmp_path, galaxies=8, estimator="fpfs", options=RunOptions(if_exists="resume", **QUIET))
    assert json.loads((tmp_path / "result.json").read_text()) == first
    assert first["run"]["objects"] == 8


def test_a_result_that_was_not_written_is_not_the_one_before(tmp_path, monkeypatch):
    whole = MeasureBias.__call__

    def broken(self, start, *arguments):
        if start:
            raise RuntimeError("no luck")
        return whole(self, start, *arguments)

    def interrupted(*_arguments):
        raise KeyboardInterrupt

    settings = {"galaxies": 16, "estimator": "fpfs", "galaxies_per_task": 8}
    resumed = RunOptions(if_exists="resume", **QUIET)
    monkeypatch.setattr(MeasureBias, "__call__", broken)
    assert run_bias(tmp_path, options=RunOptions(**QUIET), **settings).bias.galaxies == 8
    monkeypatch.setattr(MeasureBias, "__call__", whole)
    with monkeypatch.context() as patch:
        patch.setattr(runs_module, "write_results", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_bias(tmp_path, options=resumed, **settings)
    found = run_bias(tmp_path, options=resumed, **settings)
    assert found.run.objects == 0
    result, run = (json.loads((tmp_path / name).read_text()) for name in ("result.json", "run.json"))
    assert result["rows"][0]["measured"] == found.bias.values[0]
    assert run["quarantined"] == []


def test_overwriting_starts_without_old_results(tmp_path, monkeypatch):
    run_bias(tmp_path, galaxies=8, estimator="fpfs", options=RunOptions(**QUIET))

    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("lensdask.shear.tasks.measure_parts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_bias(tmp_path, galaxies=8, estimator="fpfs", options=RunOptions(if_exists="overwrite", **QUIET))
    assert not (tmp_path / "result.json").exists()


@pytest.mark.parametrize("shift", [(0.5, 0.5), (0.0, -0.5)])
def test_psf_centred_on_a_pixel_is_refused(shift):
    dy, dx = shift
    y, x = np.mgrid[:64, :64] - 31.5
    psf = np.exp(-((x - dx) ** 2 + (y - dy) ** 2) / 2 / 2.5**2)
    with pytest.raises(InputError, match=r"^psf: its centroid is 0\.\d\d pixels from \(31\.5, 31\.5\)"):
        make_stamps(np.zeros((2, 64, 64)), psf / psf.sum(), pixel_scale=0.2, noise_sigma=0.0)


@pytest.mark.parametrize("noise", [None, "0.5", np.nan, -1])
def test_noise_must_be_a_number(noise):
    with pytest.raises(InputError, match=r"^noise_sigma: "):
        make_stamps(np.zeros((2, 64, 64)), draw_psf(NOISY), pixel_scale=0.2, noise_sigma=noise)


@pytest.mark.parametrize(
    "mistake", [{"offset": "befor"}, {"psf_fwhm": -1}, {"pixel_scale": np.nan}, {"psf_e1": 1.0}, {"size": 63}]
)
def test_impossible_observations_are_refused(mistake):
    with pytest.raises(InputError):
        Observation(**mistake)


@pytest.mark.parametrize(
    ("estimator", "is_paper"), [("d4cnn-fpfs", True), ("cnn", False), ("d4cnn-fpfs:0.9", False), ("fpfs", False)]
)
def test_published_numbers_stand_beside_what_they_are_of(tmp_path, estimator, is_paper):
    options = RunOptions(**QUIET)
    run_bias(tmp_path / "run", galaxies=4, estimator=estimator, options=options)
    rows = json.loads((tmp_path / "run" / "result.json").read_text())["rows"]
    assert {row["published"] is not None for row in rows} == {is_paper}


def test_a_network_is_known_by_its_weights_wherever_it_lies(tmp_path, monkeypatch):
    for suffix in (".safetensors", ".json"):
        shutil.copy(SHIPPED_WEIGHTS["d4cnn-fpfs"].with_suffix(suffix), tmp_path / f"net{suffix}")
    monkeypatch.chdir(tmp_path)
    settings = {"galaxies": 4, "options": RunOptions(**QUIET)}
    run_bias(Path("run"), estimator="net.safetensors", **settings)
    (tmp_path / "run" / "result.json").unlink()
    resumed = RunOptions(**QUIET, if_exists="resume")
    again = run_bias(Path("run"), estimator=tmp_path / "net.safetensors", galaxies=4, options=resumed)
    assert again.run.objects == 0


def test_few_hops_from_the_run_to_the_task(tmp_path, monkeypatch):
    """Who reads the code from the command to the physics meets eight functions at the most."""
    hops = []

    def seen(*_arguments):
        package = Path(lensdask.__file__).parent
        hops.extend(f.name for f in traceback.extract_stack() if Path(f.filename).is_relative_to(package))
        raise KeyboardInterrupt

    monkeypatch.setattr(MeasureBias, "__call__", seen)
    with pytest.raises(KeyboardInterrupt):
        run_bias(tmp_path, galaxies=8, estimator="fpfs", options=RunOptions(**QUIET))
    # The last, which stands for the task, is not of the package.
    assert hops[0] == "run_bias"
    assert len([*hops, "MeasureBias"]) <= 8, hops
