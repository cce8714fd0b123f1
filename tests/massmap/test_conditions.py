"""Networks and maps of another survey than theirs: one line, and only where it matters."""

import json
import warnings
from dataclasses import asdict, replace

import numpy as np
import pytest
from command_line import call
from mass_stores import NOISE, SKY, save_network, shear_store_dataset

from lensdask.compute import RunOptions
from lensdask.data import write
from lensdask.massmap.conditions import ConditionsWarning
from lensdask.massmap.methods import SHIPPED, method_for
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


def hide(maps, part):
    """Return maps whose first rows are behind the mask."""
    maps = maps.copy(deep=True)
    maps["mask"][:] = 1
    maps["mask"][:, : round(part * maps.sizes["y"])] = 0
    return maps


@pytest.mark.parametrize(
    ("density", "sigma_e", "is_other"),
    [
        (33.0, 0.24, False),
        (33.0, 0.24 * 1.19, False),
        (33.0, 0.24 * 1.21, True),
        (33.0, 0.24 * 0.79, True),
        # The noise goes as the root of the density.
        (33.0 / 1.19**2, 0.24, False),
        (33.0 / 1.21**2, 0.24, True),
        (4 * 33.0, 2 * 0.24, False),
        (None, 0.24, False),
        (33.0, None, False),
    ],
)
def test_noise_may_differ_by_a_fifth(tmp_path, density, sigma_e, is_other):
    maps = shear_store_dataset(1).assign_attrs(density=density, sigma_e=sigma_e)
    lines = told(maps, save_network(tmp_path / "net.safetensors", **recipe()))
    assert bool(lines) == is_other
    for line in lines:
        found = sigma_e / np.sqrt(density) / 0.82
        assert line == (
            f"net is for noise 0.051 per pixel; the maps have noise {found:.2g} per pixel: "
            "train a network on such maps (lensdask massmap train), or use wiener"
        )


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
    (line,) = told(hide(shear_store_dataset(1), 0.5).assign_attrs(density=5.0, source="lsst"), network)
    assert "\n" not in line
    assert line.startswith(
        "net is for noise 0.051 per pixel, source zs1.0, 0% behind masks; "
        "the maps have noise 0.13 per pixel, source lsst, 50% behind masks: "
    )


def test_a_network_of_a_store_is_for_what_the_store_was_like(tmp_path):
    data = {"store": "maps.zarr", "density": 5.0, "sigma_e": 0.4, "source": "lsst", "seed": 1}
    network = save_network(tmp_path / "net.safetensors", **recipe(), data=data)
    there = shear_store_dataset(1).assign_attrs(density=5.0, sigma_e=0.4, source="lsst")
    assert told(there, network) == []
    assert "is for noise 0.22 per pixel, source lsst;" in told(shear_store_dataset(1), network)[0]


def test_cards_that_do_not_say_are_not_compared(tmp_path):
    assert told(shear_store_dataset(1).assign_attrs(density=1.0), save_network(tmp_path / "net.safetensors")) == []


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_networks_are_for_one_survey(name):
    survey = {"density": 69.35, "sigma_e": 0.295, "source": "cosmos"} if name == "cosmos" else {}
    maps = shear_store_dataset(1).assign_attrs(survey)
    assert told(maps, name) == []
    assert len(told(maps.assign_attrs(density=5.0), name)) == 1
    assert len(told(maps.assign_attrs(sigma_e=0.5), name)) == 1
    assert len(told(maps.assign_attrs(source="zs2.5"), name)) == 1


def test_wiener_of_other_galaxies():
    maps = shear_store_dataset(1)
    assert told(maps.assign_attrs(density=1.0), "wiener") == []
    assert told(maps, "wiener:zs1.0") == []
    assert told(maps.assign_attrs(source=None), "wiener:lsst") == []
    (line,) = told(maps, "wiener:lsst")
    assert line == (
        "wiener:lsst is for source lsst; the maps have source zs1.0: "
        "use wiener:zs1.0, or correct the source of the maps"
    )


def test_classical_methods_are_for_any_maps():
    maps = shear_store_dataset(1).assign_attrs(density=0.1, source="lsst")
    assert [told(maps, name) for name in ("ks93", "ksplus", "aperture", "wiener")] == [[]] * 4


def test_python_warns_once_where_the_user_is(tmp_path):
    network = save_network(tmp_path / "net.safetensors", **recipe())
    maps = shear_store_dataset(4).assign_attrs(density=5.0)
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
    write(shear_store_dataset(6).assign_attrs(density=5.0), tmp_path / "maps.zarr", chunk=1)
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
