"""Simulated stores of lenses: the same bits however they are made, refused input, plain xarray."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import lensdask
from lensdask.compute import RunOptions, journal_path
from lensdask.errors import InputError
from lensdask.stronglens import PRESETS, Signal, simulate, simulate_run

THREADS = RunOptions(cluster="threads", workers=1, show_progress=False)
SMALL = {"images": 13, "size": 16, "signal": Signal(fraction=2e-4), "seed": 5}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("lenses") / "lenses.zarr"
    assert simulate_run(path, chunk=5, options=THREADS, **SMALL).objects == 13
    return path


def test_what_a_store_holds(store):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = xr.open_zarr(store, consolidated=False)
    lenses = lensdask.open(store)
    np.testing.assert_array_equal(plain["image"], lenses["image"])
    assert (lenses["image"].shape, lenses["image"].dtype) == ((13, 16, 16), np.float32)
    assert lenses["label"].values.tolist() == [0, 1, 2] * 4 + [0]
    is_vortex = lenses["label"].values == 2
    for name in ("log10_mass", "vortex_angle", "vortex_half_length"):
        assert (np.isfinite(lenses[name].values) == is_vortex).all()
    assert ((lenses["subhaloes"].values > 0) == (lenses["label"].values == 1)).all()
    assert np.isfinite(lenses["image"].values).all()
    assert (lenses.attrs["preset"], lenses.attrs["survey"], lenses.attrs["noise"]) == ("physical", "euclid", "survey")
    assert lenses.attrs["signal"] == "numbers of the user"
    assert np.diff(lenses["x"].values) == pytest.approx(0.101)


def test_any_chunks_give_the_same_lenses(store, tmp_path):
    lazy = simulate(**SMALL)
    kept = lensdask.open(store)
    xr.testing.assert_identical(lazy.drop_attrs(deep=False).compute(), kept.drop_attrs(deep=False).compute())
    assert lazy.attrs == kept.attrs
    lensdask.write(lazy.isel(lens=slice(2, 9)), tmp_path / "part.zarr")
    np.testing.assert_array_equal(lensdask.open(tmp_path / "part.zarr")["image"], kept["image"][2:9])
    simulate_run(tmp_path / "fewer.zarr", chunk=3, options=THREADS, **SMALL | {"images": 7})
    for name in kept.data_vars:
        np.testing.assert_array_equal(lensdask.open(tmp_path / "fewer.zarr")[name], kept[name][:7])


def test_a_killed_run_is_resumed(store, tmp_path):
    path = tmp_path / "again.zarr"
    simulate_run(path, chunk=5, options=THREADS, **SMALL)
    # As if it had been killed after the first chunk.
    lines = journal_path(path).read_text().splitlines(keepends=True)
    done = [i for i, text in enumerate(lines) if '"done"' in text]
    journal_path(path).write_text("".join(lines[: done[0] + 1]))
    again = RunOptions(cluster="threads", workers=1, if_exists="resume", show_progress=False)
    assert simulate_run(path, chunk=5, options=again, **SMALL).objects in (8, 10)
    np.testing.assert_array_equal(lensdask.open(path)["image"], lensdask.open(store)["image"])
    with pytest.raises(InputError, match="another configuration"):
        simulate_run(path, chunk=5, options=again, **SMALL | {"angle": 20.0})


def test_presets():
    about = {"images": 3, "size": 32, "preset": "deeplensesim"}
    clean, noisy, hst = simulate(**about), simulate(**about, noise=True), simulate(**about, survey="hst")
    # The image that was added to itself, and the one that noise is added to.
    assert abs(clean["image"] / 2 - noisy["image"]).max() < 0.3
    assert (clean.attrs["noise"], noisy.attrs["noise"], hst.attrs["pixel_scale"]) == ("none", "survey", 0.08)
    assert (clean["theta_e"] == np.float32(0.634 * 1.2815)).all()
    one = simulate(images=2, classes=["vortex"], preset="deeplensesim", size=32)
    assert one["label"].values.tolist() == [2, 2]
    turned = simulate(**about, angle=90.0)
    np.testing.assert_allclose(turned["image"], np.rot90(clean["image"], -1, axes=(1, 2)), rtol=1e-3)
    assert turned.attrs["angle"] == 90.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"preset": "other"}, "preset: 'other'; expected deeplensesim, physical"),
        ({"survey": "roman"}, "survey: 'roman'; expected euclid, hst"),
        ({"signal": "wdm"}, "signal: 'wdm'; expected cdm, as-coded or a TOML file"),
        ({"signal": "none.toml"}, "none.toml cannot be read"),
        ({"classes": ["cdm", "wdm"]}, "classes: cdm,wdm; expected some of none,cdm,vortex"),
        ({"classes": []}, "classes: ; expected"),
        ({"images": 0}, "images: 0"),
        ({"size": 15}, "size: 15; expected an even number"),
        ({"size": 6}, "source_offset: 0.35 arcsec, outside of images of 6 pixels"),
        ({"angle": float("nan")}, "angle: nan"),
        ({"seed": -1}, "seed: -1"),
    ],
)
def test_bad_input_is_refused(tmp_path, wrong, message):
    with pytest.raises(InputError) as caught:
        simulate_run(tmp_path / "no.zarr", options=THREADS, **SMALL | wrong)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("least_mass = -1e6", "least_mass: -1000000.0; expected a positive number (solar masses)"),
        ("most_mass = 1e5", "most_mass: 100000.0; expected a number from 1e+06 to 1e+13"),
        ("vortex_mass = -1", "vortex_mass: -1"),
        ("vortex_mass = 2e12", "compensated: substructure is heavier than the lens"),
        ("fraction = 0.5", "in a lens; expected at most 10000"),
        ('profile = "nfw"', "profile: 'nfw'; expected pseudo-jaffe or point"),
        ("compensated = 1", "compensated: 1; expected true or false"),
        ("colour = 1", "'colour' is unknown; expected slope"),
        ("slope = ", "expected a TOML file"),
    ],
)
def test_bad_substructure_is_refused(tmp_path, text, message):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        simulate(images=3, signal=tmp_path / "mine.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_of_a_user(tmp_path):
    (tmp_path / "mine.toml").write_text("slope = -1.5\nnumber = 4\nleast_mass = 1e8\n")
    lenses = simulate(images=3, signal=tmp_path / "mine.toml", size=8)
    assert lenses["subhaloes"].values.tolist() == [0, 4, 0]
    assert lenses["subhalo_mass"].values[1] >= 4e8


def test_impossible_sources_are_refused():
    physical = PRESETS["physical"]
    for change, message in (
        ({"source_magnitude": (12.0, 13.0)}, "source_magnitude: 12"),
        ({"theta_e": (1.5, 1.1)}, "theta_e: upper end: 1.1"),
        ({"source_radius": (-1.0, 1.0)}, "source_radius: lower end: -1.0"),
    ):
        with pytest.raises(InputError, match=message):
            simulate(images=3, preset=replace(physical, **change))
