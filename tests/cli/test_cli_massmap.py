"""``lensdask massmap`` as a user meets it: from a catalogue to a map, killed runs, one line for every mistake."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from astropy.io import fits
from command_line import call
from mass_stores import NETWORK, PIXEL_SCALE, SIZE, SKY, save_network, shear_store_dataset

import lensdask
from lensdask.cli.options import SkyAndSurvey
from lensdask.compute import status
from lensdask.data import MASS_MAPS, SHEAR_MAPS, save_weights, write
from lensdask.data.checksums import seal
from lensdask.maps.mock import Survey, mock_catalogue
from lensdask.massmap import read_shear_catalogue, tile_catalogue
from lensdask.massmap.networks.architectures import describe, make_network
from lensdask.sky.simulate import SkyConfig, simulate_sky

PNG = b"\x89PNG\r\n\x1a\n"
THREADS = ("--cluster", "threads", "--workers", 1)
SMALL = ("--size", SIZE, "--pixel-scale", PIXEL_SCALE)

TINY = """\
fields = 8
validation = 4
[network]
channels = 2
first_kernels = [3, 5, 9]
large_kernel = 9
[sky]
size = 16
pixel_scale = 0.82
[training]
epochs = 1
batch = 4
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed_json(capfd):
    return json.loads(capfd.readouterr().out)


def content(path):
    dataset = lensdask.open(path).load()
    return {str(name): dataset[name].values.tobytes() for name in dataset.data_vars}


# --- what works -------------------------------------------------------------------------------------------------------


def test_defaults_are_those_of_the_library():
    survey = SkyAndSurvey()
    assert survey.sky == SkyConfig()
    assert survey.survey == Survey()


@pytest.mark.usefixtures("here")
def test_simulate_reconstruct_evaluate(monkeypatch, capfd):
    masked = ("--mask-fraction", 0.1, "--seed", 3)
    assert call(monkeypatch, "massmap", "simulate", "maps.zarr", "--fields", 3, *SMALL, *masked, *THREADS) == 0
    assert "maps.zarr: 3 fields in" in capfd.readouterr().out
    maps = lensdask.open("maps.zarr")
    SHEAR_MAPS.validate(maps)
    assert dict(maps.sizes) == {"field": 3, "y": SIZE, "x": SIZE}
    assert call(monkeypatch, "massmap", "reconstruct", "maps.zarr", "wiener.zarr", *THREADS) == 0
    assert "wiener.zarr: 3 fields in" in capfd.readouterr().out
    extra = ("--method", "ks93:2.5", "--b-mode", "--significance", 5, "--n-eff", "--symmetrised", "--json")
    assert call(monkeypatch, "massmap", "reconstruct", "maps.zarr", "ks.zarr", *extra, *THREADS) == 0
    report = printed_json(capfd)
    assert (report["store"], report["run"]["objects"]) == ("ks.zarr", 3)
    mass = lensdask.open("ks.zarr")
    MASS_MAPS.validate(mass)
    assert set(mass.data_vars) == set(MASS_MAPS.variables)
    stores = ("wiener.zarr", "ks.zarr", "out")
    assert call(monkeypatch, "massmap", "evaluate", *stores, "--truth", "maps.zarr", *THREADS, "--json") == 0
    result = printed_json(capfd)
    assert result == json.loads(Path("out/result.json").read_text())
    for name in ("evaluation.png", "power.png"):
        assert (Path("out") / name).read_bytes().startswith(PNG)
    found = {(row["series"], row["quantity"]): row for row in result["rows"]}
    truth, inside = maps["kappa"].values, maps["mask"].values == 1
    for method, path in (("wiener", "wiener.zarr"), ("ks93:2.5 symmetrised", "ks.zarr")):
        difference = (lensdask.open(path)["kappa"].values - truth)[inside]
        assert found[method, "rmse"]["measured"] == pytest.approx(np.sqrt(np.mean(difference**2)), rel=1e-4)
        assert found[method, "rmse"]["error"] > 0
    # Better than no map at all.
    assert found["wiener", "rmse"]["measured"] < 0.95 * np.sqrt(np.mean(truth[inside] ** 2))
    assert found["wiener", "rmse"]["measured"] < found["ks93:2.5 symmetrised", "rmse"]["measured"]
    assert call(monkeypatch, "massmap", "evaluate", *stores, "--truth", "maps.zarr", *THREADS, "--resume") == 0
    shown = capfd.readouterr().out
    assert "rmse / wiener smoothed" in shown
    assert "pictures: out/evaluation.png, out/power.png" in shown


def catalogue(path, sky=True, rows=None):
    """Write galaxies over one simulated field, and return its true convergence."""
    field = simulate_sky([0], SKY, 0)
    galaxies = mock_catalogue(0, np.asarray(field.g1[0]), np.asarray(field.g2[0]), Survey(), PIXEL_SCALE, 0)
    x, y = galaxies["x"], galaxies["y"]
    # Near the equator degrees of RA are as long as those of Dec, and grow to the left.
    places = {"RA": 150 - x / 60, "DEC": y / 60} if sky else {"X": x, "Y": y}
    columns = places | {name: galaxies[name] for name in ("g1", "g2", "weight")} | (rows or {})
    count = min(map(len, columns.values()))
    table = [fits.Column(name=name, format="D", array=values[:count]) for name, values in columns.items()]
    fits.BinTableHDU.from_columns(table).writeto(path)
    return np.asarray(field.kappa[0])


@pytest.mark.parametrize("frame", ["sky", "flat"])
@pytest.mark.usefixtures("here")
def test_from_a_catalogue_to_a_map(monkeypatch, capfd, frame):
    kappa = catalogue("galaxies.fits", sky=frame == "sky")
    options = ("--flat", "--columns", "x,y,g1,g2") if frame == "flat" else ()
    options = ("--pixel-scale", PIXEL_SCALE, "--source", "zs1.0", *options)
    found = {}
    for name, flip in (("right", ()), ("wrong", ("--flip-g2",))):
        assert call(monkeypatch, "massmap", "bin", "galaxies.fits", f"{name}.zarr", *options, *flip, "--json") == 0
        facts = printed_json(capfd)
        # The sky is not flat: its middle may lie elsewhere by a part of a pixel.
        assert all(0 <= side - SIZE <= 1 for side in facts["pixels"])
        assert facts["density"] == pytest.approx(33, rel=0.05)
        assert facts["sigma_e"] == pytest.approx(0.24, rel=0.05)
        assert call(monkeypatch, "massmap", "reconstruct", f"{name}.zarr", f"{name}-mass.zarr", *THREADS) == 0
        capfd.readouterr()
        mass = lensdask.open(f"{name}-mass.zarr")
        found[name] = np.corrcoef(mass["kappa"].values[0, :SIZE, :SIZE].ravel(), kappa.ravel())[0, 1]
        assert ("ra" in mass.coords) == (frame == "sky")
    assert found["right"] > 0.5
    assert abs(found["wrong"]) < 0.3
    assert call(monkeypatch, "massmap", "bin", "galaxies.fits", "right.zarr", *options, "--overwrite") == 0
    assert "right.zarr: 5" in capfd.readouterr().out


@pytest.mark.usefixtures("here")
def test_field_cut_out_of_a_catalogue_with_a_mask(monkeypatch, capfd):
    catalogue("galaxies.fits")
    inside = np.ones((20, 30), dtype=np.int8)
    inside[5:9, 3:8] = 0
    np.save("mask.npy", inside)
    field = ("--shape", "20,30", "--centre", "149.9,-0.05", "--pixel-scale", PIXEL_SCALE)
    arguments = ("massmap", "bin", "galaxies.fits", "maps.zarr", *field, "--mask", "mask.npy", "--drop-outside")
    assert call(monkeypatch, *arguments) == 0
    assert "20 x 30 pixels of 0.82 arcmin" in capfd.readouterr().out
    maps = lensdask.open("maps.zarr").load()
    assert (maps["ra"].item(), maps["dec"].item()) == (149.9, -0.05)
    np.testing.assert_array_equal(maps["mask"][0], inside)
    galaxies = fits.getdata("galaxies.fits")
    # Near the equator, and over so little of it, the tangent plane is the sky.
    column = np.floor((149.9 - galaxies["RA"]) * 60 / PIXEL_SCALE + 15).astype(int)
    row = np.floor((galaxies["DEC"] + 0.05) * 60 / PIXEL_SCALE + 10).astype(int)
    on_grid = (column >= 0) & (column < 30) & (row >= 0) & (row < 20)
    counts = np.zeros((20, 30))
    np.add.at(counts, (row[on_grid], column[on_grid]), 1)
    assert np.abs(maps["count"].values[0] - counts * inside).sum() < 0.01 * counts.sum()


@pytest.mark.usefixtures("here")
def test_mask_with_coordinates_needs_no_centre(monkeypatch, capfd):
    catalogue("galaxies.fits")
    image = fits.PrimaryHDU((np.random.default_rng(4).random((20, 30)) < 0.9).astype(np.int16))
    image.header.update({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 149.9, "CRVAL2": -0.05})
    image.header.update({"CRPIX1": 15.5, "CRPIX2": 10.5, "CDELT1": -PIXEL_SCALE / 60, "CDELT2": PIXEL_SCALE / 60})
    image.writeto("mask.fits")
    arguments = ("--mask", "mask.fits", "--drop-outside", "--pixel-scale", PIXEL_SCALE)
    for name, centre in {"told.zarr": (), "given.zarr": ("--centre", "149.9,-0.05")}.items():
        assert call(monkeypatch, "massmap", "bin", "galaxies.fits", name, *arguments, *centre) == 0
    told, given = (lensdask.open(name).load() for name in ("told.zarr", "given.zarr"))
    assert (told["ra"].item(), told["dec"].item()) == pytest.approx((149.9, -0.05), abs=1e-9)
    np.testing.assert_array_equal(told["count"], given["count"])
    assert f"told.zarr: {told['count'].sum().item():.0f} galaxies" in capfd.readouterr().out


@pytest.mark.usefixtures("here")
def test_galaxies_without_weight_are_not_counted(monkeypatch, capfd):
    catalogue("galaxies.fits")
    with fits.open("galaxies.fits", mode="update") as units:
        units[1].data["weight"][:100] = 0
        total = len(units[1].data)
    arguments = ("massmap", "bin", "galaxies.fits", "maps.zarr", "--pixel-scale", PIXEL_SCALE, "--overwrite", "--json")
    for more in ((), ("--tiles", "--shape", "24,24", "--overlap", 2)):
        assert call(monkeypatch, *arguments, *more) == 0
        assert printed_json(capfd)["galaxies"] == total - 100
        assert call(monkeypatch, *arguments, *more, "--columns", "ra,dec,g1,g2") == 0
        assert printed_json(capfd)["galaxies"] == total


@pytest.mark.usefixtures("here")
def test_rows_without_values_are_counted(monkeypatch, capfd):
    catalogue("galaxies.fits")
    with fits.open("galaxies.fits", mode="update") as units:
        units[1].data["g1"][:100] = np.nan
        units[1].data["RA"] = np.radians(units[1].data["RA"])
        units[1].data["DEC"] = np.radians(units[1].data["DEC"])
        total = len(units[1].data)
    for number in (1, 2):
        fits.setval("galaxies.fits", f"TUNIT{number}", value="rad", ext=1)
    arguments = ("massmap", "bin", "galaxies.fits", "maps.zarr", "--pixel-scale", PIXEL_SCALE, "--overwrite", "--json")
    assert call(monkeypatch, *arguments) == 2
    assert "g1: not finite for 100 of" in capfd.readouterr().err
    assert call(monkeypatch, *arguments, "--drop-bad", "--flip-g1", "--flip-g2", "--hdu", 1) == 0
    shown = capfd.readouterr()
    facts = json.loads(shown.out)
    assert facts["galaxies"] == total - 100
    assert all(0 <= side - SIZE <= 1 for side in facts["pixels"])
    assert f"lensdask: galaxies.fits: dropped 100 of {total} galaxies: 100 not finite (g1)" in shown.err


@pytest.mark.usefixtures("here")
def test_wide_catalogue_in_tiles(monkeypatch, capfd):
    catalogue("galaxies.fits")
    tiles = ("--tiles", "--shape", "24,24", "--overlap", 2, "--pixel-scale", PIXEL_SCALE, "--source", "zs1.0")
    assert call(monkeypatch, "massmap", "bin", "galaxies.fits", "maps.zarr", *tiles, "--json") == 0
    facts = printed_json(capfd)
    table = read_shear_catalogue("galaxies.fits", ["ra", "dec", "g1", "g2", "weight"])
    expected = tile_catalogue(*table.values(), pixel_scale=PIXEL_SCALE, shape=(24, 24), overlap=2.0, source="zs1.0")
    xr.testing.assert_equal(lensdask.open("maps.zarr").load(), expected)
    assert facts["fields"] == expected.sizes["field"] > 4
    # A galaxy where tiles overlap is one.
    assert expected["count"].sum() > facts["galaxies"] == len(table["x"])
    assert facts["pixels"] == [24, 24]
    assert call(monkeypatch, "massmap", "bin", "galaxies.fits", "maps.zarr", *tiles, "--overwrite") == 0
    assert f"maps.zarr: {facts['fields']} fields, {facts['galaxies']} galaxies" in capfd.readouterr().out
    assert call(monkeypatch, "massmap", "reconstruct", "maps.zarr", "mass.zarr", *THREADS) == 0
    mass = lensdask.open("mass.zarr")
    for name in ("field", "ra", "dec"):
        np.testing.assert_array_equal(mass[name], expected[name])


@pytest.mark.usefixtures("here")
def test_train_then_reconstruct(monkeypatch, capfd):
    Path("tiny.toml").write_text(TINY)
    options = ("--config", "tiny.toml", "--fields", 4, "--epochs", 2, "--seed", 5, "--json")
    assert call(monkeypatch, "massmap", "train", "tiny.safetensors", *options) == 0
    card = printed_json(capfd)
    assert card == json.loads(Path("tiny.json").read_text())
    assert (card["recipe"]["fields"], card["recipe"]["seed"], card["epochs_done"]) == (4, 5, 2)
    write(shear_store_dataset(2), "maps.zarr")
    network = ("--method", "tiny.safetensors")
    assert call(monkeypatch, "massmap", "reconstruct", "maps.zarr", "mass.zarr", *network, *THREADS) == 0
    assert float(np.abs(lensdask.open("mass.zarr")["kappa"]).max()) > 0


@pytest.mark.usefixtures("here")
def test_a_network_is_not_judged_on_fields_like_those_it_learned_from(monkeypatch, capfd):
    Path("tiny.toml").write_text(TINY)
    write(shear_store_dataset(6), "maps.zarr", chunk=1)
    options = ("--config", "tiny.toml", "--maps", "maps.zarr", "--epochs", 1)
    assert call(monkeypatch, "massmap", "train", "tiny.safetensors", *options) == 0
    network = ("--method", "tiny.safetensors")
    assert call(monkeypatch, "massmap", "reconstruct", "maps.zarr", "mass.zarr", *network, *THREADS) == 0
    assert call(monkeypatch, "massmap", "evaluate", "mass.zarr", "out", "--truth", "maps.zarr", *THREADS) == 2
    assert "trained on fields of this truth; expected those of another seed" in capfd.readouterr().err


@pytest.mark.usefixtures("here")
def test_status_counts_fields(monkeypatch, capfd):
    write(shear_store_dataset(3), "maps.zarr", chunk=2)
    assert call(monkeypatch, "massmap", "reconstruct", "maps.zarr", "mass.zarr", "--method", "ks93", *THREADS) == 0
    capfd.readouterr()
    assert call(monkeypatch, "status", "mass.zarr") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("reconstruct ks93: finished")
    assert lines[2].strip().startswith("fields: 3 of 3")


def test_killed_and_resumed(tmp_path, monkeypatch):
    write(shear_store_dataset(24), tmp_path / "maps.zarr", chunk=1)
    method = ("--method", "ks93", "--b-mode", "--significance", 12, *THREADS)
    arguments = ("massmap", "reconstruct", "maps.zarr", "mass.zarr", *method)
    command = [sys.executable, "-c", "from lensdask.cli import main; main()", *map(str, arguments)]
    settings = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    journal = tmp_path / "mass.zarr.journal.jsonl"
    with subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, **settings) as driver:
        while not (journal.exists() and b'"done"' in journal.read_bytes()):
            assert driver.poll() is None, "finished or failed before it could be killed"
            time.sleep(0.01)
        driver.kill()
    left = status(tmp_path / "mass.zarr").left
    assert left > 0, "nothing was left to resume"
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *arguments, "--resume") == 0
    assert call(monkeypatch, *arguments[:3], "whole.zarr", *method) == 0
    assert content(tmp_path / "mass.zarr") == content(tmp_path / "whole.zarr")


# --- what does not ----------------------------------------------------------------------------------------------------


def changed(maps, name, value, field=1):
    """Return shear maps with one field changed, where it is inside of the mask or everywhere."""
    maps = maps.copy(deep=True)
    maps[name][field] = value
    return maps


def save_masks(folder):
    """Write masks that are none, and some of other pixels than 0.82 arcmin."""
    mask = np.ones((60, 60))
    np.save(folder / "all-masked.npy", 0 * mask)
    np.save(folder / "nan-mask.npy", np.where(np.eye(60) == 1, np.nan, mask))
    np.save(folder / "corner-mask.npy", np.pad(mask[:2, :2], (0, 58)))
    tangent = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRPIX1": 30.5, "CRPIX2": 30.5}
    kinds = {"oblong": (0.82, 0.9), "fine": (0.41, 0.41), "mirrored": (-0.82, 0.82), "good": (0.82, 0.82)}
    for name, sides in kinds.items():
        image = fits.PrimaryHDU(mask.astype(np.int16))
        image.header.update(tangent | {"CDELT1": -sides[0] / 60, "CDELT2": sides[1] / 60})
        image.writeto(folder / f"{name}-mask.fits")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a folder with stores of maps, weights and catalogues, good and bad."""
    folder = tmp_path_factory.mktemp("finished")
    maps = shear_store_dataset(3)
    write(maps, folder / "maps.zarr")
    write(maps.drop_vars("kappa").assign_attrs(source="catalogue"), folder / "real.zarr")
    write(changed(maps, "g1", np.nan), folder / "nan.zarr")
    write(changed(maps, "g2", 1.5), folder / "strong.zarr")
    write(changed(maps, "weight", -1.0), folder / "negative.zarr")
    write(changed(maps, "mask", 0), folder / "masked.zarr")
    write(changed(maps, "weight", np.nan), folder / "weightless.zarr")
    write(maps.isel(y=slice(40)), folder / "narrow.zarr")
    write(maps.assign_coords(field=[5, 6, 7]), folder / "others.zarr")
    write(maps.assign_attrs(pixel_scale=-PIXEL_SCALE), folder / "mirrored.zarr")
    write(maps, folder / "oblong.zarr")
    # A writer refuses this, a file may hold it.
    zarr.open_group(folder / "oblong.zarr").attrs["pixel_scale"] = [0.82, 0.9]
    seal(folder / "oblong.zarr")
    write(maps, folder / "misfit.zarr")
    shutil.rmtree(folder / "misfit.zarr" / "g2")
    shutil.copytree(folder / "narrow.zarr" / "g2", folder / "misfit.zarr" / "g2")
    seal(folder / "misfit.zarr")
    write(shear_store_dataset(2), folder / "fewer.zarr")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for method in ("wiener", "ks93"):
            arguments = ("massmap", "reconstruct", "maps.zarr", f"{method}.zarr", "--method", method)
            assert call(patch, *arguments, *THREADS) == 0
        arguments = ("massmap", "reconstruct", "narrow.zarr", "narrow-mass.zarr", "--method", "ks93")
        assert call(patch, *arguments, *THREADS) == 0
    save_network(folder / "good.safetensors")
    save_network(folder / "coarse.safetensors", pixel_scale=4 * PIXEL_SCALE)
    save_network(folder / "d4cnn.safetensors", architecture="d4cnn")
    damaged = bytearray(save_network(folder / "corrupted.safetensors").read_bytes())
    damaged[-5] ^= 0xFF
    (folder / "corrupted.safetensors").write_bytes(damaged)
    save_network(folder / "cardless.safetensors").with_suffix(".json").unlink()
    larger = make_network(replace(NETWORK, channels=4)).state_dict()
    save_weights(folder / "larger.safetensors", larger, describe(NETWORK) | {"pixel_scale": PIXEL_SCALE})
    catalogue(folder / "good.fits")
    for name, column in (("strong", "g1"), ("nan", "g2"), ("negative", "weight")):
        value = {"strong": 1.5, "nan": np.nan, "negative": -1.0}[name]
        catalogue(folder / f"{name}.fits", rows={column: np.r_[value, np.zeros(50)]})
    (folder / "text.fits").write_text("not a FITS file\n")
    (folder / "table.csv").write_text("ra,dec,g1,g2\n150,0,0.1,0.1\n")
    np.save(folder / "footprint.npy", np.ones((5, 5)))
    np.save(folder / "zeros.npy", np.zeros((48, 48)))
    save_masks(folder)
    (folder / "unknown.toml").write_text("field_count = 10\n")
    (folder / "architecture.toml").write_text('[network]\narchitecture = "resnet"\n')
    (folder / "plain").mkdir()
    return folder


SIMULATE = ["massmap", "simulate", "new.zarr", "--fields", "2", *map(str, SMALL)]
BIN = ["massmap", "bin", "good.fits", "new.zarr", "--pixel-scale", "0.82"]
RECONSTRUCT = ["massmap", "reconstruct", "maps.zarr", "new.zarr", "--method"]
MASKED = [*BIN, "--centre", "150,0", "--mask"]
TILES = [*BIN, "--tiles", "--shape", "24,24"]
EVALUATE = ["massmap", "evaluate", "wiener.zarr", "new", "--truth"]
TRAIN = ["massmap", "train", "new.safetensors", "--fields", "4", "--epochs", "1"]


def of(store):
    return ["massmap", "reconstruct", store, "new.zarr", "--method", "ks93"]


MISTAKES = {
    "no fields": (["massmap", "simulate", "new.zarr", "--fields", "0"], "expected at least 1"),
    "unknown source": ([*SIMULATE, "--source", "zs9"], "source: 'zs9'"),
    "unknown generator": ([*SIMULATE, "--generator", "nbody"], "generator: 'nbody'"),
    "no pixels": ([*SIMULATE, "--size", "0"], "size"),
    "NaN pixels": ([*SIMULATE, "--pixel-scale", "nan"], "pixel_scale: nan"),
    "negative density": ([*SIMULATE, "--density", "-1"], "density: -1"),
    "NaN ellipticities": ([*SIMULATE, "--sigma-e", "nan"], "sigma_e: nan"),
    "nothing but mask": ([*SIMULATE, "--mask-fraction", "1.5"], "mask_fraction: 1.5"),
    "negative resolution": ([*SIMULATE, "--resolution", "-1"], "resolution"),
    "negative seed": ([*SIMULATE, "--seed", "-1"], "seed: -1"),
    "footprint missing": ([*SIMULATE, "--footprint", "nowhere.npy"], "nowhere.npy"),
    "footprint of another shape": ([*SIMULATE, "--footprint", "footprint.npy"], r"shape \(5, 5\)"),
    "footprint of nothing": (
        [*SIMULATE, "--size", "48", "--footprint", "zeros.npy"],
        r"zeros\.npy: 0 everywhere; expected 1 inside",
    ),
    "a radius of no masks": ([*SIMULATE, "--mask-radius", "3"], "--mask-radius: .*expected --mask-fraction above 0"),
    "footprint of text": ([*SIMULATE, "--footprint", "text.fits"], r"text\.fits"),
    "maps exist": (["massmap", "simulate", "maps.zarr", "--fields", "2"], "--overwrite"),
    "overwrite what is no store": (["massmap", "simulate", "plain", "--fields", "2", "--overwrite"], "not a store"),
    "catalogue missing": (["massmap", "bin", "nowhere.fits", "new.zarr"], r"nowhere\.fits"),
    "binned into memory": (["massmap", "bin", "good.fits", "memory://x.zarr"], "memory://x.zarr: gone when"),
    "binned on another machine": (["massmap", "bin", "good.fits", "file://host/x.zarr"], "a file of another machine"),
    "huge ellipticities": ([*BIN, "--sigma-e", "1e300"], r"sigma_e: 1e\+300; expected a number from 1e-06 to 10"),
    "large ellipticities": ([*BIN, "--sigma-e", "50"], "sigma_e: 50.0; expected a number from 1e-06 to 10"),
    "a column twice": ([*BIN, "--columns", "ra,dec,g1,g1"], "columns: ra,dec,g1,g1; expected g1 once"),
    "huge response": ([*BIN, "--response", "100"], "response: 100.0; expected a number from 0.01 to 10"),
    "a table of one": (["massmap", "bin", "table.csv", "new.zarr", "--hdu", "1"], "--hdu: 1 of table.csv, neither"),
    "catalogue of text": (["massmap", "bin", "text.fits", "new.zarr"], r"text\.fits: cannot be read"),
    "column missing": ([*BIN, "--columns", "ra,dec,e1,e2"], "no column e1, e2; it has RA, DEC"),
    "columns of one": ([*BIN, "--columns", "ra"], "the first four at least"),
    "shear above 1": (["massmap", "bin", "strong.fits", "new.zarr"], r"\|g\| is 1 or more for 1 of"),
    "shear that is no number": (["massmap", "bin", "nan.fits", "new.zarr"], "g2: not finite for 1 of"),
    "negative weights in a catalogue": (["massmap", "bin", "negative.fits", "new.zarr"], "weight: -1"),
    "pixels without a side": ([*BIN[:4], "--pixel-scale", "0"], "pixel_scale: 0"),
    "pixels of a negative side": ([*BIN[:4], "--pixel-scale", "-0.82"], "pixel_scale: -0.82"),
    "pixels of NaN": ([*BIN[:4], "--pixel-scale", "nan"], "pixel_scale: nan"),
    "pixels without end": ([*BIN[:4], "--pixel-scale", "0.002"], r"the galaxies take \d+ x \d+ pixels; expected"),
    "pixels in degrees": ([*BIN[:4], "--pixel-scale", "5.5e-5"], "pixel_scale: 5.5e-05; expected a number from 0.001"),
    "unknown survey": ([*BIN, "--survey", "sdss"], "survey: 'sdss'; expected kids"),
    "signs that nobody states": (
        [*BIN, "--survey", "anacal", "--flip-g1"],
        r"whether to flip them, each yes or no \(flip_g1, flip_g2\)",
    ),
    "no response": ([*BIN, "--response", "0"], "response: 0.0; expected a number from 0.01 to 10"),
    "no such table": ([*BIN, "--hdu", "7"], r"good\.fits: no table 7"),
    "NaN dispersion": ([*BIN, "--sigma-e", "nan"], "sigma_e: nan"),
    "shape of one side": ([*BIN, "--shape", "48"], "--shape: '48'; expected two whole numbers"),
    "shape of half pixels": ([*BIN, "--shape", "48,4.5"], "--shape: '48,4.5'; expected two whole numbers"),
    "shape without pixels": ([*BIN, "--shape", "0,48"], r"shape: \(0, 48\)"),
    "shape without end": ([*BIN, "--shape", f"{10**9},{10**9}"], "shape: .* pixels: 72 EB; expected what fits into"),
    "shape beyond numbers": ([*BIN, "--shape", f"{10**12},{10**24}"], "shape: .* pixels: 7.2e.13 YB; expected what"),
    "tiles beyond memory": (
        [*BIN[:4], "--pixel-scale", "0.001", "--tiles", "--shape", f"{10**6},{10**6}"],
        "shape: 1000000 x 1000000 pixels: 72 TB; expected what fits into memory",
    ),
    "centre of words": ([*BIN, "--centre", "north,pole"], "--centre: 'north,pole'; expected two numbers"),
    "centre of NaN": ([*BIN, "--centre", "150,nan"], r"centre: \(150.0, nan\)"),
    "centre beyond the pole": ([*BIN, "--centre", "0,150"], "dec: beyond the poles"),
    "centre on the other side": ([*BIN, "--centre", "330,0"], "90 degrees or more from the centre"),
    "galaxies off the grid": ([*BIN, "--shape", "40,40", "--centre", "150,0"], r"off the grid of \(40, 40\) pixels"),
    "catalogue off the grid": (
        [*BIN, "--shape", "40,40", "--centre", "160,0", "--drop-outside"],
        r"no galaxy of a weight above 0 is on the grid of \(40, 40\)",
    ),
    "mask without a place": ([*BIN, "--mask", "footprint.npy"], "--mask: .* expected --centre"),
    "mask missing": ([*MASKED, "nowhere.npy"], "nowhere.npy"),
    "mask of text": ([*MASKED, "text.fits"], r"text\.fits"),
    "mask of another shape": (
        [*MASKED, "footprint.npy", "--shape", "60,60"],
        r"mask: shape \(5, 5\); expected \(60, 60\)",
    ),
    "mask of NaN": ([*MASKED, "nan-mask.npy"], r"nan-mask\.npy: no map of 0 and 1"),
    "nothing but masked": ([*MASKED, "all-masked.npy"], "mask: 0 everywhere"),
    "galaxies behind the mask": ([*MASKED, "corner-mask.npy"], "off the grid of .* or its mask"),
    "no galaxy but behind the mask": (
        [*MASKED, "corner-mask.npy", "--drop-outside"],
        "no galaxy of a weight above 0 is on the grid",
    ),
    "mask of oblong pixels": ([*MASKED, "oblong-mask.fits"], "pixels of 0.82 x 0.9 arcmin; expected square ones"),
    "mask of finer pixels": ([*MASKED, "fine-mask.fits"], "pixels of 0.41 arcmin; expected those of the maps, 0.82"),
    "mask with east to the right": ([*MASKED, "mirrored-mask.fits"], "a map with north up and east left; expected"),
    "mask elsewhere": (
        [*BIN, "--mask", "good-mask.fits", "--centre", "150.02,0"],
        r"the middle is at RA 150.00000, Dec 0.00000; expected it at the centre, \(150.02, 0.0\)",
    ),
    "mask on the other side": ([*BIN, "--mask", "good-mask.fits", "--centre", "330,0"], "90 degrees or more"),
    "tiles without size": ([*BIN, "--tiles"], "expected --shape Y,X"),
    "tiles of a flat catalogue": ([*TILES, "--flat"], "--tiles: with --flat"),
    "tiles about a centre": ([*TILES, "--centre", "150,0"], "--tiles: with --centre, --mask or --drop-outside"),
    "tiles of half the sky": ([*BIN, "--tiles", "--shape", "24,9000"], "fields of 123 degrees; expected 20 at most"),
    "tiles that overlap by all": (
        [*TILES, "--overlap", "19"],
        "overlap: 19.0; expected a number from 0 to 9.84",
    ),
    "tiles that overlap by NaN": ([*TILES, "--overlap", "nan"], "overlap: nan"),
    "overlap of one field": ([*BIN, "--overlap", "2"], "--overlap: without --tiles"),
    "tiles of shear above 1": (["massmap", "bin", "strong.fits", *TILES[3:]], r"\|g\| is 1 or more for 1 of"),
    "tiles of negative weights": (["massmap", "bin", "negative.fits", *TILES[3:]], "weight: -1"),
    "unknown galaxies": ([*BIN, "--source", "euclid"], "source: 'euclid'"),
    # Before the catalogue is read.
    "binned maps exist": (
        ["massmap", "bin", "nowhere.fits", "maps.zarr"],
        r"maps\.zarr exists; replace .* --overwrite",
    ),
    "bin into what is no store": (["massmap", "bin", "nowhere.fits", "plain", "--overwrite"], "plain is not a store"),
    "smoothing beyond the field": ([*RECONSTRUCT, "ks93:1e9"], "method ks93:1e9: scale: .* of at most 39.36"),
    "filled in and smoothed beyond the field": (
        [*RECONSTRUCT, "ksplus:40"],
        "scale: 40.0; expected .* of at most 39.36",
    ),
    "aperture beyond the field": ([*RECONSTRUCT, "aperture:1e5"], "scale: 100000.0; expected .* of at most 39.36"),
    "unknown method": ([*RECONSTRUCT, "glimpse"], "'glimpse' is unknown; expected ks93"),
    "scale of a method": ([*RECONSTRUCT, "ks93:-2"], "ks93:2.5"),
    "galaxies of a method": ([*RECONSTRUCT, "wiener:euclid"], "source: 'euclid'"),
    "wiener of unknown galaxies": (["massmap", "reconstruct", "real.zarr", "new.zarr"], "wiener:lsst"),
    "weights missing": ([*RECONSTRUCT, "nowhere.safetensors"], r"nowhere\.(json|safetensors) cannot be read"),
    "weights without card": ([*RECONSTRUCT, "cardless.safetensors"], r"cardless\.json cannot be read"),
    "weights corrupted": ([*RECONSTRUCT, "corrupted.safetensors"], r"corrupted\.safetensors has sha256"),
    "weights of another size than their card": (
        [*RECONSTRUCT, "larger.safetensors"],
        r"larger\.safetensors: weights of another architecture than 'cha': size mismatch",
    ),
    "weights of another pillar": ([*RECONSTRUCT, "d4cnn.safetensors"], "architecture 'd4cnn'"),
    "weights for other pixels": ([*RECONSTRUCT, "coarse.safetensors"], r"pixels of 0\.82 arcmin; expected 3\.28"),
    "model without suffix": ([*RECONSTRUCT, "good.pt"], r"\.safetensors"),
    "one realisation": ([*RECONSTRUCT, "ks93", "--significance", "1"], "noise_realisations: 1"),
    "negative seed of turns": ([*RECONSTRUCT, "ks93", "--seed", "-1"], "seed: -1"),
    "unknown device": ([*RECONSTRUCT, "ks93", "--device", "tpu"], "device: 'tpu'"),
    "shear is NaN inside the mask": (of("nan.zarr"), "field 1: g1 is not finite inside the mask"),
    "shear maps above 1": (of("strong.zarr"), r"field 1: \|g\| is 1 or more"),
    "negative weights": (of("negative.zarr"), "field 1: a weight is negative"),
    "weights of NaN inside the mask": (of("weightless.zarr"), "field 1: weight is not finite inside the mask"),
    "pixels of a negative side in a store": (of("mirrored.zarr"), "pixel_scale: -0.82"),
    "pixels of two sides in a store": (
        of("oblong.zarr"),
        r"pixel_scale: \[0\.82, 0\.9\]; expected a number from 0\.001",
    ),
    "maps of two shapes in a store": (
        of("misfit.zarr"),
        r"misfit\.zarr: arrays that do not fit together \(conflicting",
    ),
    "nothing inside the mask": (of("masked.zarr"), "field 1: nothing is inside the mask"),
    "reconstruct nothing": (of("nowhere.zarr"), "nowhere.zarr"),
    "reconstruct a folder": (of("plain"), "not a store"),
    "reconstruct mass": (of("ks93.zarr"), "store of mass_maps; expected one of shear_maps"),
    "reconstruct onto itself": (
        ["massmap", "reconstruct", "maps.zarr", "maps.zarr", "--overwrite"],
        "two different stores",
    ),
    "reconstruct into what is read": (
        ["massmap", "reconstruct", "maps.zarr", "maps.zarr/x.zarr"],
        r"maps\.zarr/x\.zarr is inside of maps\.zarr",
    ),
    "mass exists": (["massmap", "reconstruct", "maps.zarr", "ks93.zarr"], "--overwrite"),
    "resume another method": (
        ["massmap", "reconstruct", "maps.zarr", "ks93.zarr", "--resume"],
        "another configuration",
    ),
    "truth of real galaxies": ([*EVALUATE, "real.zarr"], "no true convergence"),
    "truth of other fields": ([*EVALUATE, "fewer.zarr"], r"maps of shape \(3, 48, 48\)"),
    "truth of another shape": ([*EVALUATE, "narrow.zarr"], r"maps of shape \(3, 48, 48\); expected \(3, 40, 48\)"),
    "truth of other ids": ([*EVALUATE, "others.zarr"], "ids of other fields"),
    "mass maps of two shapes": (
        ["massmap", "evaluate", "wiener.zarr", "narrow-mass.zarr", "new", "--truth", "maps.zarr"],
        r"narrow-mass\.zarr: maps of shape \(3, 40, 48\); expected \(3, 48, 48\)",
    ),
    "statistics smoothed beyond the field": (
        [*EVALUATE, "maps.zarr", "--smoothing", "1e9"],
        "smoothing: .*; expected a number above 0 and of at most 39.36",
    ),
    "truth missing": ([*EVALUATE, "nowhere.zarr"], "nowhere.zarr"),
    "evaluate shear": (["massmap", "evaluate", "maps.zarr", "new", "--truth", "maps.zarr"], "store of shear_maps"),
    "evaluate into a store": (["massmap", "evaluate", "wiener.zarr", "ks93.zarr", "--truth", "maps.zarr"], "OUT_DIR"),
    "evaluate twice the same": (
        ["massmap", "evaluate", "ks93.zarr", "ks93.zarr", "new", "--truth", "maps.zarr"],
        "each once",
    ),
    "train to another suffix": (["massmap", "train", "new.pt"], r"\.safetensors"),
    "weights exist": (["massmap", "train", "good.safetensors"], "--overwrite"),
    "no training fields": (["massmap", "train", "new.safetensors", "--fields", "0"], "fields: 0"),
    "no epochs": (["massmap", "train", "new.safetensors", "--epochs", "0"], "epochs: 0"),
    "unknown setting": ([*TRAIN, "--config", "unknown.toml"], "field_count"),
    "unknown network": ([*TRAIN, "--config", "architecture.toml"], "resnet"),
    "settings missing": ([*TRAIN, "--config", "nowhere.toml"], r"nowhere\.toml"),
    "unknown device in training": ([*TRAIN, "--device", "tpu"], "device: 'tpu'"),
    "train on real galaxies": ([*TRAIN, "--maps", "real.zarr"], "true kappa"),
    "unknown recipe": ([*TRAIN, "--config", "cha"], "recipe 'cha' is unknown; expected massmap-cha, "),
    "train anew and on": ([*TRAIN, "--resume", "--overwrite"], "--resume and --overwrite"),
}


def snapshot(folder: Path) -> dict[str, str]:
    """Return a digest of every file, and the names of the directories."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_gets_one_line_and_leaves_nothing(finished, tmp_path, monkeypatch, capfd, mistake):
    arguments, message = MISTAKES[mistake]
    folder = shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(folder)
    monkeypatch.setattr("lensdask.compute.devices.count_cuda_devices", lambda: 0)
    before = snapshot(folder)
    code = call(monkeypatch, *arguments, *(THREADS if arguments[1] not in ("train", "bin") else ()))
    printed = capfd.readouterr()
    assert code == 2, printed.err
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("lensdask: ")
    assert re.search(message, line), line
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["massmap", "simulate", "maps.zarr"],
        ["massmap", "simulate", "maps.zarr", "--fields", "many"],
        ["massmap", "reconstruct", "maps.zarr"],
        ["massmap", "evaluate", "mass.zarr", "--truth", "maps.zarr"],
        ["massmap", "evaluate", "mass.zarr", "out"],
        ["massmap", "nosuch"],
    ],
)
def test_misspelt_command(here, monkeypatch, capfd, arguments):
    assert call(monkeypatch, *arguments) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert list(here.iterdir()) == []
