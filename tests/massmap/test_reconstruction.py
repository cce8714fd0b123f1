"""The lazy door: nothing is computed before it is asked for, and each field once."""

import dask
import numpy as np
import pytest
from mass_stores import shear_store_dataset

import lensdask
from lensdask.data import MASS_MAPS, write
from lensdask.errors import InputError
from lensdask.massmap import reconstruction
from lensdask.massmap.reconstruction import reconstruct

FIELDS = 4


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("stores") / "maps.zarr"
    write(shear_store_dataset(FIELDS), path, chunk=2)
    return path


@pytest.fixture
def calls(monkeypatch):
    """Return the ids of the fields of each call that reconstructs some."""
    seen, whole = [], reconstruction.reconstruct_maps

    def counted(maps, method, **options):
        seen.append(list(options["ids"]))
        return whole(maps, method, **options)

    monkeypatch.setattr(reconstruction, "reconstruct_maps", counted)
    return seen


def test_nothing_is_computed_before_it_is_asked_for(stored, calls):
    mass = reconstruct(lensdask.open(stored), "ks93", b_mode=True)
    MASS_MAPS.validate(mass)
    assert calls == []
    with dask.config.set(scheduler="synchronous"):
        mass["kappa"][3].compute()
    assert calls == [[2, 3]]


def test_all_maps_of_a_chunk_are_made_together(stored, calls):
    mass = reconstruct(lensdask.open(stored), "ks93", b_mode=True, n_eff=True, noise_realisations=2)
    with dask.config.set(scheduler="synchronous"):
        mass.compute()
    assert sorted(calls) == [[0, 1], [2, 3]]


def test_in_memory_as_from_a_store(stored):
    lazy, there = (reconstruct(maps, "ks93", b_mode=True) for maps in (lensdask.open(stored), shear_store_dataset(4)))
    assert there["kappa"].chunks is None
    for name in there.data_vars:
        np.testing.assert_array_equal(there[name], lazy[name])
    assert there.attrs == lazy.attrs


def test_chunks_may_cut_fields(stored):
    expected = reconstruct(lensdask.open(stored), "ks93")
    cut = reconstruct(lensdask.open(stored).chunk({"field": 1, "y": 20, "x": 30}), "ks93")
    np.testing.assert_array_equal(cut["kappa"], expected["kappa"])


def test_what_is_made_can_be_written(stored, tmp_path):
    mass = reconstruct(lensdask.open(stored), "wiener")
    write(mass, tmp_path / "mass.zarr")
    found = lensdask.open(tmp_path / "mass.zarr")
    np.testing.assert_array_equal(found["kappa"], mass["kappa"])
    assert (found.attrs["method"], found.attrs["pixel_scale"]) == ("wiener", 0.82)


def test_the_default_is_the_wiener_filter():
    maps = shear_store_dataset(1)
    np.testing.assert_array_equal(reconstruct(maps)["kappa"], reconstruct(maps, "wiener:zs1.0")["kappa"])


def test_other_settings_have_another_hash():
    maps = shear_store_dataset(1)
    made = [reconstruct(maps, name, b_mode=b) for name, b in (("ks93", False), ("ks93:1", False), ("ks93", True))]
    assert len({mass.attrs["configuration_hash"] for mass in made}) == 3


def test_reconstruct_is_at_hand():
    assert lensdask.massmap.reconstruct is reconstruct


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (lambda maps: maps.drop_vars("g2"), {}, "'g2' is missing"),
        (lambda maps: maps.assign_attrs(source="catalogue"), {}, "wiener:lsst"),
        (lambda maps: maps.assign_attrs(sigma_e=None), {"n_eff": True}, "sigma_e"),
        (lambda maps: maps, {"method": "ks94"}, "is unknown"),
        (lambda maps: maps, {"device": "tpu"}, "device: 'tpu'"),
        (lambda maps: maps, {"seed": -1}, "seed: -1"),
        (lambda maps: maps.assign(mask=0 * maps["mask"]), {}, "nothing is inside the mask"),
    ],
)
def test_what_cannot_be_reconstructed(spoil, options, message):
    with pytest.raises(InputError, match=message):
        reconstruct(spoil(shear_store_dataset(1)), **options)


def test_the_old_name_of_the_number_of_realisations_works_with_a_warning():
    maps = shear_store_dataset(1)
    expected = reconstruct(maps, "ks93", noise_realisations=2)
    with pytest.warns(DeprecationWarning, match="significance is now noise_realisations"):
        found = reconstruct(maps, "ks93", significance=2)
    np.testing.assert_array_equal(found["significance"], expected["significance"])
    assert found.attrs == expected.attrs
