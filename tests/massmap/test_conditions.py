"""Networks and maps of another survey than theirs: one line, and only where it matters."""

import json
import warnings
from dataclasses import asdict, replace

import numpy as np
import pytest
from command_line import call
from mass_stores import NOISE, SKY, save_network, shear_store_dataset

from lensdask.compute import RunOptions
from lensdask.data import load_card, write
from lensdask.maps.mock import mock_catalogue
from lensdask.massmap.conditions import ConditionsWarning
from lensdask.massmap.measured import LOSS, noise_range
from lensdask.massmap.method import SHIPPED_WEIGHTS, method_for
from lensdask.massmap.reconstruction import reconstruct
from lensdask.massmap.runs import reconstruct_run


def recipe(**noise):
    """Return the part of a card about fields like those of the store, which hide a tenth."""
    return {"recipe": {"sky": asdict(SKY), "noise": asdict(replace(NOISE, **noise))}}


def told(maps, name):
    """Return what is said of a method and maps."""
    lines = []
    method_for(maps, name, warn=lines.append)
    return lines


def observed(maps, density=33.0, sigma_e=0.24):
    """Return maps with the weights that so many galaxies of such a dispersion give."""
    return maps.assign(weight=maps["weight"] * (density / 33.0) * (0.24 / sigma_e) ** 2)


def hide(maps, part):
    """Return maps whose first rows are behind the mask."""
    maps = maps.copy(deep=True)
    maps["mask"][:] = 1
    maps["mask"][:, : round(part * maps.sizes["y"])] = 0
    return maps


@pytest.mark.parametrize(
    ("factor", "is_other"), [(1.0, False), (1.18, False), (1.22, True), (0.82, False), (0.78, True)]
)
def test_noise_may_differ_by_a_fifth(tmp_path, factor, is_other):
    maps = shear_store_dataset(1)
    maps["weight"] = maps["weight"] / factor**2
    lines = told(maps, save_network(tmp_path / "net.safetensors", **recipe()))
    assert bool(lines) == is_other
    for line in lines:
        found = float(maps["weight"].values[maps["mask"].values > 0].mean()) ** -0.5
        assert found == pytest.approx(factor * 0.0509, rel=0.01)
        assert line == (
            f"net is for noise 0.051 per pixel; the maps have noise {found:.2g} per pixel: "
            "train a network on such maps (lensdask massmap train), or use wiener"
        )


MEASURED = {"range": [0.9, 1.1], "noises": [0.8, 0.9, 1.0, 1.1, 1.3], "rmse / wiener": [1.2, 1.02, 0.9, 1.02, 1.1]}


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (0.92, None),
        (1.08, None),
        (0.85, "(its error was 1.11 times that of wiener there)"),
        (1.2, "(its error was 1.06 times that of wiener there)"),
        (1.5, "(its error was 1.10 times that of wiener at 1.3 times the noise, and beyond was not measured)"),
        (0.5, "(its error was 1.20 times that of wiener at 0.8 times the noise, and beyond was not measured)"),
    ],
)
def test_the_loss_at_other_noise_is_the_measured_one(tmp_path, factor, words):
    maps = shear_store_dataset(1)
    expected = 0.24 / 33.0**0.5 / 0.82
    found = float(maps["weight"].values[maps["mask"].values > 0].mean()) ** -0.5
    maps["weight"] = maps["weight"] * (found / expected) ** 2 / factor**2
    measured = MEASURED | {"rmse / wiener": [{"value": ratio} for ratio in MEASURED["rmse / wiener"]]}
    lines = told(maps, save_network(tmp_path / "net.safetensors", **recipe(), other_noise=measured))
    assert bool(lines) == (words is not None)
    for line in lines:
        assert f"noise {factor * expected:.2g} per pixel {words}: train a network" in line


@pytest.mark.parametrize("name", SHIPPED_WEIGHTS)
def test_shipped_networks_have_thresholds_of_their_own(name):
    card = load_card(SHIPPED_WEIGHTS[name])
    part = card["other_noise"]
    low, high = part["range"]
    ratios = [ratio["value"] for ratio in part["rmse / wiener"]]
    assert noise_range(part["noises"], ratios) == pytest.approx([low, high], abs=1e-4)
    inside = [low <= noise <= high for noise in part["noises"]]
    assert [ratio <= LOSS for ratio in ratios] == inside
    assert all(ratio["error"] < 0.006 for ratio in part["rmse / wiener"] if ratio["value"] < 1.06)
    survey = {"density": 69.35, "sigma_e": 0.295} if name == "cosmos" else {"density": 33.0, "sigma_e": 0.24}
    maps = shear_store_dataset(1).assign_attrs(source="cosmos" if name == "cosmos" else "zs1.0")
    seen = maps["weight"].values[maps["mask"].values > 0].mean()
    noise = survey["sigma_e"] / survey["density"] ** 0.5 / 0.82
    for factor, is_other in ((low - 0.01, True), (low + 0.01, False), (high - 0.01, False), (high + 0.01, True)):
        one = maps.assign(weight=maps["weight"] / (seen * (factor * noise) ** 2))
        lines = told(one, name)
        assert bool(lines) == is_other, (factor, lines)
        assert all("times that of wiener" in line for line in lines)


@pytest.mark.parametrize("error", [0.3, 0.5])
def test_noise_is_that_of_ellipticities_and_measurement(tmp_path, error):
    network = save_network(tmp_path / "net.safetensors", **recipe(measurement_error=error))
    # By the galaxies of the mock catalogue: the mean square of their errors, with the ellipticities' 0.24².
    sheared = np.zeros((200, 200))
    errors = mock_catalogue(0, sheared, sheared, replace(NOISE, measurement_error=error), 0.82, 1)["measurement_error"]
    ratio = np.sqrt(1 + np.mean(errors**2) / 0.24**2)
    maps = shear_store_dataset(1)
    for factor, is_other in ((1.0, ratio > 1.25), (ratio, False), (1.22 * ratio, True)):
        one = maps.assign(weight=maps["weight"] / factor**2)
        assert bool(told(one, network)) == is_other


@pytest.mark.parametrize("weight", [0.0, np.nan])
def test_maps_that_say_nothing_of_their_noise_are_not_compared(tmp_path, weight):
    maps = shear_store_dataset(1)
    maps["weight"][:] = weight
    assert told(maps, save_network(tmp_path / "net.safetensors", **recipe())) == []


@pytest.mark.parametrize(("source", "is_other"), [("zs1.0", False), ("lsst", True), (None, False), ("mine", False)])
def test_galaxies_must_be_those_of_the_training_if_they_are_known(tmp_path, source, is_other):
    network = save_network(tmp_path / "net.safetensors", **recipe())
    lines = told(shear_store_dataset(1).assign_attrs(source=source), network)
    assert bool(lines) == is_other
    assert all("is for source zs1.0; the maps have source lsst:" in line for line in lines)


@pytest.mark.parametrize(
    ("trained", "part", "is_other"),
    [
        ({}, 1 / 3, False),
        ({}, 0.5, True),
        ({"mask_fraction": 0.0}, 0.25, False),
        ({"mask_fraction": 0.0}, 1 / 3, True),
        ({"footprint": "seen.npy"}, 0.75, False),
    ],
)
def test_masks_may_hide_a_quarter_more(tmp_path, trained, part, is_other):
    lines = told(hide(shear_store_dataset(1), part), save_network(tmp_path / "net.safetensors", **recipe(**trained)))
    assert bool(lines) == is_other
    assert all(f"the maps have {part:.0%} behind masks:" in line for line in lines)


def test_one_field_at_the_edge_is_not_the_survey(tmp_path):
    maps = hide(shear_store_dataset(4), 0.0)
    maps["mask"][0, 4:] = 0
    network = save_network(tmp_path / "net.safetensors", **recipe(mask_fraction=0.0))
    assert told(maps, network) == []
    maps["mask"][1, 4:] = 0
    assert "46% behind masks" in told(maps, network)[0]


def test_all_differences_are_told_in_one_line(tmp_path):
    network = save_network(tmp_path / "net.safetensors", **recipe(mask_fraction=0.0))
    (line,) = told(observed(hide(shear_store_dataset(1), 0.5).assign_attrs(source="lsst"), 5.0), network)
    assert "\n" not in line
    assert line.startswith(
        "net is for noise 0.051 per pixel, source zs1.0, 0% behind masks; "
        "the maps have noise 0.14 per pixel, source lsst, 50% behind masks: "
    )


def test_a_network_of_a_store_is_for_what_the_store_was_like(tmp_path):
    data = {"store": "maps.zarr", "density": 5.0, "sigma_e": 0.4, "source": "lsst", "seed": 1}
    network = save_network(tmp_path / "net.safetensors", **recipe(), data=data)
    there = observed(shear_store_dataset(1), 5.0, 0.4).assign_attrs(source="lsst")
    assert told(there, network) == []
    assert "is for noise 0.22 per pixel, source lsst;" in told(shear_store_dataset(1), network)[0]


def test_cards_that_do_not_say_are_not_compared(tmp_path):
    assert told(observed(shear_store_dataset(1), 1.0), save_network(tmp_path / "net.safetensors")) == []


@pytest.mark.parametrize("name", SHIPPED_WEIGHTS)
def test_shipped_networks_are_for_one_survey(name):
    maps, survey = shear_store_dataset(1), {}
    if name == "cosmos":
        maps, survey = maps.assign_attrs(source="cosmos"), {"density": 69.35, "sigma_e": 0.295}
    assert told(observed(maps, **survey), name) == []
    assert len(told(observed(maps, **(survey | {"density": 5.0})), name)) == 1
    assert len(told(observed(maps, **(survey | {"sigma_e": 0.5})), name)) == 1
    assert len(told(observed(maps, **survey).assign_attrs(source="zs2.5"), name)) == 1


def test_wiener_of_other_galaxies():
    maps = shear_store_dataset(1)
    assert told(observed(maps, 1.0), "wiener") == []
    assert told(maps, "wiener:zs1.0") == []
    assert told(maps.assign_attrs(source=None), "wiener:lsst") == []
    (line,) = told(maps, "wiener:lsst")
    assert line == (
        "wiener:lsst is for source lsst; the maps have source zs1.0: "
        "use wiener:zs1.0, or correct the source of the maps"
    )


def test_classical_methods_are_for_any_maps():
    maps = observed(shear_store_dataset(1), 0.1).assign_attrs(source="lsst")
    assert [told(maps, name) for name in ("ks93", "ksplus", "aperture", "wiener")] == [[]] * 4


def test_python_warns_once_where_the_user_is(tmp_path):
    network = save_network(tmp_path / "net.safetensors", **recipe())
    maps = observed(shear_store_dataset(4), 5.0)
    write(maps, tmp_path / "maps.zarr", chunk=1)
    options = RunOptions(show_progress=False)
    doors = (
        lambda: reconstruct(maps.chunk({"field": 1}), network, device="cpu").compute(scheduler="synchronous"),
        lambda: reconstruct_run(tmp_path / "maps.zarr", tmp_path / "mass.zarr", method=network, options=options),
    )
    for door in doors:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            door()
        (only,) = (one for one in found if issubclass(one.category, ConditionsWarning))
        assert only.filename == __file__


@pytest.mark.parametrize("workers", [1, 3])
def test_the_command_says_it_in_one_line(tmp_path, monkeypatch, capfd, workers):
    monkeypatch.chdir(tmp_path)
    save_network(tmp_path / "net.safetensors", **recipe())
    write(observed(shear_store_dataset(6), 5.0), tmp_path / "maps.zarr", chunk=1)
    options = ("--method", "net.safetensors", "--cluster", "threads", "--workers", workers)
    arguments = ("massmap", "reconstruct", "maps.zarr", "mass.zarr", *options, "--json")
    assert call(monkeypatch, *arguments) == 0
    printed = capfd.readouterr()
    assert json.loads(printed.out)["store"] == "mass.zarr"
    (line,) = (line for line in printed.err.splitlines() if "is for" in line)
    assert line.startswith("lensdask: net is for noise 0.051 per pixel; the maps have noise 0.13 per pixel: train")
    assert "Warning" not in printed.err
    # Of a method for such maps nothing is said.
    assert call(monkeypatch, *arguments, "--overwrite", "--method", "wiener") == 0
    assert "is for" not in capfd.readouterr().err


def test_lazy_maps_are_not_computed_for_it(tmp_path):
    network = save_network(tmp_path / "net.safetensors", **recipe())
    maps = shear_store_dataset(2).chunk({"field": 1})

    def refuse(_block):
        raise AssertionError("computed")

    shear = maps.assign(g1=maps["g1"].copy(data=maps["g1"].data.map_blocks(refuse, meta=np.empty((0, 0, 0), "f4"))))
    assert told(shear, network) == []
