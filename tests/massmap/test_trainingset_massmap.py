from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from lensdask.data import open as open_store
from lensdask.data import write
from lensdask.errors import InputError
from lensdask.maps.fields import ShearMaps, shear_dataset
from lensdask.maps.mock import Survey
from lensdask.maps.symmetry import SYMMETRIES
from lensdask.massmap.networks.trainingset import (
    FIRST_TRAINING,
    FIRST_VALIDATION,
    Fields,
    FieldSet,
    SimulatedFields,
    StoredFields,
    split_store,
    turned,
)
from lensdask.sky.lensing import convergence_of_shear, shear_of_convergence
from lensdask.sky.simulate import SkyConfig

SKY = SkyConfig(size=16, pixel_scale=1.64)
SIMULATED = SimulatedFields(SKY, Survey(), FIRST_TRAINING, 11, seed=3)


def everything(fields: FieldSet, epoch: int = 0, batch: int = 4) -> Fields:
    parts = list(fields.batches(epoch, batch))
    maps = ShearMaps(*(np.concatenate(arrays) for arrays in zip(*(part.maps for part in parts), strict=True)))
    return Fields(maps, np.concatenate([part.kappa for part in parts]))


def rows(values: np.ndarray) -> list[bytes]:
    """Return what identifies each field."""
    return [np.ascontiguousarray(value).tobytes() for value in values]


# Simulated fields


def test_every_field_comes_once_an_epoch_in_another_order() -> None:
    sizes = [len(part.kappa) for part in SIMULATED.batches(0, 4)]
    assert sizes == [4, 4, 3]
    first, second = (rows(everything(SIMULATED, epoch).kappa) for epoch in (0, 1))
    assert len(set(first)) == 11
    assert set(first) == set(second)
    assert first != second


def test_noise_is_new_in_every_epoch() -> None:
    first, second = (everything(SIMULATED, epoch) for epoch in (0, 1))
    by_sky = dict(zip(rows(first.kappa), first.maps.g1, strict=True))
    for kappa, g1 in zip(second.kappa, second.maps.g1, strict=True):
        before = by_sky[kappa.tobytes()]
        assert not np.any(before == g1)
        # 88 galaxies in a pixel: noise of 0.026 on a signal of 0.015.
        assert 0.005 < np.std(before - g1) < 0.06


def test_fresh_skies_never_come_again() -> None:
    fresh = replace(SIMULATED, fresh=True)
    skies = [sky for epoch in (0, 1, 2) for sky in rows(everything(fresh, epoch).kappa)]
    assert len(set(skies)) == 33
    # The first epoch is that of the kept skies.
    assert set(skies[:11]) == set(rows(everything(SIMULATED).kappa))


@pytest.mark.parametrize("fresh", [False, True])
def test_an_epoch_repeats_bit_for_bit_whatever_the_batch(fresh) -> None:
    fields = replace(SIMULATED, fresh=fresh)
    whole = everything(fields, 2)
    for batch in (1, 11):
        other = everything(replace(fields), 2, batch)
        for a, b in zip((*whole.maps, whole.kappa), (*other.maps, other.kappa), strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


def test_training_validation_and_test_share_no_field() -> None:
    # Test sets count from 0, and no training makes 2^40 fields.
    starts = (0, FIRST_TRAINING, FIRST_VALIDATION)
    assert min(np.diff(starts)) >= 2**40
    skies = [set(rows(everything(replace(SIMULATED, first=start)).kappa)) for start in starts]
    assert len(set.union(*skies)) == 33


# Turns and mirrors


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_turned_shear_is_that_of_the_turned_mass(symmetry) -> None:
    kappa = np.random.default_rng(1).standard_normal((2, 15, 15))
    zero = np.zeros_like(kappa)
    maps = ShearMaps(*shear_of_convergence(kappa), 1 + kappa**2, zero, zero + 1)
    found = turned(Fields(maps, kappa), symmetry)
    np.testing.assert_allclose(np.stack(found.maps[:2]), np.stack(shear_of_convergence(found.kappa)), atol=1e-12)
    np.testing.assert_array_equal(found.maps.weight, 1 + found.kappa**2)
    assert np.array_equal(found.kappa, kappa) == (symmetry == SYMMETRIES[0])


# Stores


def store(path: Path, ids: np.ndarray, chunk: int = 3, *, truth: bool = True) -> Path:
    random = np.random.default_rng(0)
    shape = (len(ids), 8, 8)
    shear = 0.1 * random.standard_normal((2, *shape))
    maps = ShearMaps(*shear, np.full(shape, 50.0), np.zeros(shape), np.ones(shape))
    dataset = shear_dataset(maps, count=np.full(shape, 3.0), pixel_scale=0.82)
    dataset = dataset.assign_coords(field=ids)
    if truth:
        # Names the field: the convergence is its id.
        dataset["kappa"] = (("field", "y", "x"), np.broadcast_to(ids[:, None, None], shape).astype(np.float32))
    write(dataset, path, chunk=chunk)
    return path


def ids_of(fields: Fields) -> list[int]:
    return [int(number) for number in fields.kappa[:, 0, 0]]


def test_a_store_is_split_by_id(tmp_path: Path) -> None:
    training, validation = split_store(store(tmp_path / "maps.zarr", np.arange(5, 25)), 4, seed=1)
    # Seven chunks of 3 at the most: the last 2 and the one before, 5 fields.
    assert sorted(ids_of(everything(validation))) == list(range(20, 25))
    assert sorted(ids_of(everything(training))) == list(range(5, 20))
    assert training.pixel_scale == 0.82


@pytest.mark.parametrize("batch", [1, 3, 6, 7, 100])
def test_stored_fields_come_once_an_epoch_in_another_order(tmp_path: Path, batch) -> None:
    path = store(tmp_path / "maps.zarr", np.arange(20))
    fields = StoredFields(open_store(path), seed=2)
    orders = [ids_of(everything(fields, epoch, batch)) for epoch in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == list(range(20))
    truth = open_store(path)
    whole = everything(fields, 1, batch)
    for name, array in whole.maps._asdict().items():
        np.testing.assert_array_equal(array, truth[name].to_numpy()[orders[2]])
    assert max(len(part.kappa) for part in fields.batches(0, batch)) <= batch


def test_a_store_is_read_in_whole_chunks_each_once(tmp_path: Path, monkeypatch) -> None:
    fields = StoredFields(open_store(store(tmp_path / "maps.zarr", np.arange(20))), seed=2)
    read: list[slice] = []
    plain = xr.Dataset.isel

    def spy(self: xr.Dataset, *args: object, field: slice, **options: object) -> xr.Dataset:
        read.append(field)
        return plain(self, *args, field=field, **options)

    monkeypatch.setattr(xr.Dataset, "isel", spy)
    next(fields.batches(0, 6))
    # A batch of 6 is two chunks: nothing more is read for it.
    assert len(read) == 2
    read.clear()
    list(fields.batches(0, 6))
    assert sorted((part.start, part.stop) for part in read) == [(n, min(n + 3, 20)) for n in range(0, 20, 3)]


def test_stores_that_cannot_be_split_are_refused(tmp_path: Path) -> None:
    few = store(tmp_path / "few.zarr", np.arange(6))
    with pytest.raises(InputError, match=r"few.zarr: 6 fields in 2 chunks; expected more chunks than 4 fields"):
        split_store(few, 4, seed=0)
    twice = store(tmp_path / "twice.zarr", np.array([0, 1, 2, 3, 4, 4, 5, 6, 7]))
    with pytest.raises(InputError, match="ids of the fields do not increase; expected each field once"):
        split_store(twice, 1, seed=0)
    with pytest.raises(InputError, match="expected shear_maps with the true kappa"):
        split_store(store(tmp_path / "blind.zarr", np.arange(9), truth=False), 1, seed=0)


def test_networks_see_the_shear_of_the_mass_they_are_to_find() -> None:
    # With hardly any noise the map of Kaiser and Squires is the mass, but for the edges, in each of the eight versions.
    fields = replace(SIMULATED, survey=Survey(sigma_e=1e-6), sky=replace(SKY, size=32))
    for number, part in enumerate(fields.batches(0, 1)):
        found = turned(part, SYMMETRIES[number % 8])
        kappa_e, kappa_b = convergence_of_shear(found.maps.g1, found.maps.g2)
        inner = np.s_[0, 8:-8, 8:-8]
        assert np.corrcoef(kappa_e[inner].ravel(), found.kappa[inner].ravel())[0, 1] > 0.8
        assert np.std(kappa_b[inner]) < 0.6 * np.std(kappa_e[inner])
