"""Methods by name: what a name means, and which names mean nothing."""

from dataclasses import asdict, replace

import pytest
from mass_stores import NETWORK, PIXEL_SCALE, save_network, shear_store_dataset

from lensdask.errors import InputError
from lensdask.massmap.method import Method, find_method, method_for


@pytest.mark.parametrize(
    ("name", "kind", "scale"),
    [
        ("ks93", "ks93", 1.5),
        ("ks93:2.5", "ks93", 2.5),
        ("ks93:0", "ks93", 0.0),
        ("ksplus:1", "ksplus", 1.0),
        ("aperture", "aperture", 5.0),
        ("aperture:7.5", "aperture", 7.5),
    ],
)
def test_names_with_a_scale(name, kind, scale):
    assert find_method(name) == Method(name, kind, scale=scale)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ks93:wide", "ks93:2.5"),
        ("ks93:-1", "ks93:2.5"),
        ("ks93:nan", "ks93:2.5"),
        ("ks93:inf", "ks93:2.5"),
        ("ks93:", "ks93:2.5"),
        ("aperture:0", "aperture:2.5"),
        ("ks94", "is unknown; expected ks93"),
        ("wiener", "wiener:lsst"),
        ("wiener:", "wiener:lsst"),
        ("wiener:catalogue", "source: 'catalogue'"),
        ("nowhere.safetensors", r"nowhere\.json cannot be read"),
        ("network.pt", "is unknown"),
    ],
)
def test_names_that_mean_nothing(name, message):
    with pytest.raises(InputError, match=message) as told:
        find_method(name)
    assert "\n" not in str(told.value)


def test_wiener_takes_the_galaxies_from_its_name_or_the_dataset():
    maps = shear_store_dataset(1)
    assert maps.attrs["source"] == "zs1.0"
    assert method_for(maps, "wiener") == Method("wiener", "wiener", source="zs1.0", resolution=0.0)
    assert method_for(maps.assign_attrs(source=None), "wiener:lsst").source == "lsst"
    smoothed = maps.assign_attrs(resolution=0.45)
    assert method_for(smoothed, "wiener").resolution == 0.45
    with pytest.raises(InputError, match="do not name their source; expected wiener:SOURCE, such as wiener:lsst"):
        method_for(maps.assign_attrs(source=None), "wiener")
    with pytest.raises(InputError, match="wiener:lsst"):
        method_for(maps.assign_attrs(source="catalogue"), "wiener")


def test_a_network_is_known_by_its_weights(tmp_path):
    first, second = save_network(tmp_path / "a.safetensors"), save_network(tmp_path / "b.safetensors", seed=1)
    found, other = find_method(first), find_method(second)
    assert (found.kind, found.weights, found.label) == ("network", first, "a")
    assert found.sha256 != other.sha256
    assert len(found.sha256) == 64


def test_a_network_sees_pixels_of_the_size_it_was_trained_on(tmp_path):
    maps = shear_store_dataset(1)
    network = save_network(tmp_path / "net.safetensors", pixel_scale=PIXEL_SCALE * 1.01)
    assert method_for(maps, network).kind == "network"
    network = save_network(tmp_path / "coarse.safetensors", pixel_scale=2 * PIXEL_SCALE)
    with pytest.raises(InputError, match=r"pixels of 0\.82 arcmin; expected 1\.64, .* with pixel_scale=1\.64\)"):
        method_for(maps, network)


def test_weights_of_another_pillar_are_refused(tmp_path):
    network = save_network(tmp_path / "net.safetensors", architecture="d4cnn")
    with pytest.raises(InputError, match="architecture 'd4cnn'"):
        find_method(network)


@pytest.mark.parametrize(
    "card",
    [
        {"pixel_scale": "wide"},
        {"pixel_scale": None},
        {"recipe": "short"},
        {"recipe": {"noise": {"density": "few", "sigma_e": 0.24}}},
        {"recipe": {"noise": {"mask_fraction": "half"}}},
    ],
)
def test_a_card_that_says_nonsense_is_refused_in_one_line(tmp_path, card):
    network = save_network(tmp_path / "net.safetensors", **card)
    with pytest.raises(InputError, match=r"net\.json: .*; expected the card of a trained network") as told:
        method_for(shear_store_dataset(1), network)
    assert "\n" not in str(told.value)


def test_weights_that_contradict_their_card_are_refused_in_one_line(tmp_path):
    config = asdict(replace(NETWORK, channels=3))
    network = save_network(tmp_path / "net.safetensors", config=config)
    with pytest.raises(InputError, match=r"net\.safetensors: weights of another architecture than 'cha'") as told:
        find_method(network)
    assert "\n" not in str(told.value)


def test_symmetrised_is_part_of_the_method():
    plain, mean = find_method("ks93"), find_method("ks93", symmetrised=True)
    assert plain != mean
    assert (plain.label, mean.label) == ("ks93", "ks93 symmetrised")
