"""Resumable runs on mass maps: the same bits wherever they run and however they are cut, refused input, resumption."""

import json
import shutil

import numpy as np
import pytest
from mass_stores import NOISE, PIXEL_SCALE, SIZE, SKY, save_network, shear_store_dataset

import lensdask
from lensdask.compute import RunOptions, start_cluster, status
from lensdask.data import MASS_MAPS, SHEAR_MAPS, write
from lensdask.errors import InputError
from lensdask.maps.mock import Survey
from lensdask.massmap.products import Products
from lensdask.massmap.reconstruction import reconstruct
from lensdask.massmap.runs import reconstruct_run, simulate_run
from lensdask.massmap.tasks import ReconstructFields, SimulateFields
from lensdask.sky.simulate import SkyConfig, simulate_sky

FIELDS = 6
QUIET = {"show_progress": False}
RESUMED = RunOptions(if_exists="resume", **QUIET)
SEED = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a store of fields in chunks of two, and a network."""
    folder = tmp_path_factory.mktemp("maps")
    settings = {"fields": FIELDS, "sky": SKY, "survey": NOISE, "seed": SEED, "chunk": 2}
    simulate_run(folder / "maps.zarr", options=RunOptions(**QUIET), **settings)
    save_network(folder / "tiny.safetensors")
    return folder


@pytest.fixture(scope="module", params=["threads-2", "local-2"])
def cluster(request):
    kind, _, workers = request.param.partition("-")
    with start_cluster(kind, workers=int(workers)) as client:
        yield client


METHODS = ["ks93", "wiener", "aperture", "tiny.safetensors"]


@pytest.fixture(params=METHODS)
def method(request, folder):
    return folder / request.param if request.param.endswith(".safetensors") else request.param


PRODUCTS = Products(b_mode=True, noise_realisations=2, n_eff=True)


def reconstructed(folder, path, method, **options):
    run = RunOptions(**(QUIET | options))
    return reconstruct_run(folder / "maps.zarr", path, method=method, products=PRODUCTS, seed=SEED, options=run)


def content(path):
    dataset = lensdask.open(path).load()
    return {str(name): dataset[name].values.tobytes() for name in (*dataset.data_vars, "field")}


@pytest.fixture
def direct(folder, method):
    """Return what the direct loop makes, once for each method."""
    path = folder / f"direct-{METHODS.index(getattr(method, 'name', method))}.zarr"
    if not path.exists():
        assert reconstructed(folder, path, method).objects == FIELDS
    return path


# --- simulate ---------------------------------------------------------------------------------------------------------


def test_simulated_store(folder):
    maps = lensdask.open(folder / "maps.zarr")
    SHEAR_MAPS.validate(maps)
    assert dict(maps.sizes) == {"field": FIELDS, "y": SIZE, "x": SIZE}
    assert maps.attrs["source"] == "zs1.0"
    assert maps.attrs["density"] == NOISE.density
    assert maps.attrs["resolution"] == SKY.resolution
    maps = maps.load()
    assert not any(maps[name].isnull().any() for name in maps.data_vars)
    inside = maps["mask"].values != 0
    assert 0.85 < inside.mean() < 0.95
    assert (maps["count"].values[~inside] == 0).all()
    # Weights of shapes without measurement error are counts over the variance of one galaxy.
    np.testing.assert_allclose(maps["weight"], maps["count"] / NOISE.sigma_e**2, rtol=1e-6)
    # What is left of the shear after the true one is noise of that variance.
    sky = simulate_sky(maps["field"].values, SKY, SEED)
    for name, true in (("g1", sky.g1), ("g2", sky.g2)):
        known = maps["weight"].values > 0
        pull = ((maps[name].values - true) * np.sqrt(maps["weight"].values))[known]
        assert pull.std() == pytest.approx(1, abs=0.02)
    np.testing.assert_array_equal(maps["kappa"], sky.kappa)


@pytest.mark.parametrize("chunk", [1, 4])
def test_simulated_fields_do_not_depend_on_the_chunk(folder, tmp_path, chunk):
    settings = {"fields": FIELDS, "sky": SKY, "survey": NOISE, "seed": SEED, "chunk": chunk}
    simulate_run(tmp_path / "maps.zarr", options=RunOptions(**QUIET), **settings)
    assert content(tmp_path / "maps.zarr") == content(folder / "maps.zarr")


def test_simulated_fields_are_the_same_on_a_cluster(folder, tmp_path, cluster):
    settings = {"fields": FIELDS, "sky": SKY, "survey": NOISE, "seed": SEED, "chunk": 2}
    simulate_run(tmp_path / "maps.zarr", options=RunOptions(cluster=cluster, **QUIET), **settings)
    assert content(tmp_path / "maps.zarr") == content(folder / "maps.zarr")


def test_haloes_are_stored_with_the_fields(tmp_path):
    sky = SkyConfig(generator="halo", size=SIZE, pixel_scale=PIXEL_SCALE, minimum_mass=1e14, catalogue_mass=1e14)
    options = RunOptions(**QUIET)
    for chunk in (1, 3):
        simulate_run(tmp_path / f"{chunk}.zarr", fields=3, sky=sky, survey=NOISE, chunk=chunk, options=options)
    assert content(tmp_path / "1.zarr") == content(tmp_path / "3.zarr")
    maps = lensdask.open(tmp_path / "1.zarr").load()
    listed = np.isfinite(maps["halo_mass"].values)
    assert listed.any()
    assert (maps["halo_mass"].values[listed] >= 1e14).all()
    half = SIZE * PIXEL_SCALE / 2
    assert (np.abs(maps["halo_x"].values[listed]) <= half).all()
    assert (np.diff(listed.astype(int), axis=1) <= 0).all()


def test_a_footprint_is_part_of_the_run(tmp_path):
    seen = np.ones((SIZE, SIZE))
    seen[:, :10] = 0
    np.save(tmp_path / "seen.npy", seen)
    noise = Survey(footprint=str(tmp_path / "seen.npy"))
    settings = {"fields": 2, "sky": SKY, "survey": noise, "chunk": 1}
    simulate_run(tmp_path / "maps.zarr", options=RunOptions(**QUIET), **settings)
    np.testing.assert_array_equal(lensdask.open(tmp_path / "maps.zarr")["mask"][1], seen)
    np.save(tmp_path / "seen.npy", np.ones((SIZE, SIZE)))
    with pytest.raises(InputError, match="another configuration"):
        simulate_run(tmp_path / "maps.zarr", options=RESUMED, **settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fields": 0}, "expected at least 1"),
        ({"seed": -1}, "seed: -1"),
        ({"sky": SkyConfig(size=SIZE, pixel_scale=PIXEL_SCALE, shift=1e-4)}, "shift: 0.0001"),
        ({"survey": Survey(footprint="nowhere.npy")}, "nowhere.npy"),
    ],
)
def test_a_simulation_that_makes_no_sense_leaves_nothing(tmp_path, change, message):
    settings = {"fields": 2, "sky": SKY, "survey": NOISE} | change
    with pytest.raises(InputError, match=message):
        simulate_run(tmp_path / "maps.zarr", options=RunOptions(**QUIET), **settings)
    assert list(tmp_path.iterdir()) == []


# --- reconstruct ------------------------------------------------------------------------------------------------------


def test_same_bits_on_every_cluster(folder, tmp_path, method, direct, cluster):
    assert reconstructed(folder, tmp_path / "mass.zarr", method, cluster=cluster).objects == FIELDS
    assert content(tmp_path / "mass.zarr") == content(direct)


def test_same_bits_lazily(folder, method, direct):
    maps = lensdask.open(folder / "maps.zarr")
    lazy = reconstruct(maps, method, b_mode=True, noise_realisations=2, n_eff=True, seed=SEED)
    MASS_MAPS.validate(lazy)
    assert all(lazy[name].chunks is not None for name in ("kappa", "kappa_b", "significance", "n_eff", "mask"))
    found, expected = lazy.load(), lensdask.open(direct).load()
    for name in MASS_MAPS.variables:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    np.testing.assert_array_equal(found["field"], expected["field"])


def test_same_bits_after_an_interruption(folder, tmp_path, method, direct, monkeypatch):
    whole = ReconstructFields.__call__

    def interrupted(self, start, *arguments):
        if start == 4:
            raise KeyboardInterrupt
        return whole(self, start, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ReconstructFields, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt, match='2 of 3 chunks done; continue with if_exists="resume"'):
            reconstructed(folder, tmp_path / "mass.zarr", method)
    found = status(tmp_path / "mass.zarr")
    assert (found.unit, found.objects, found.objects_done) == ("fields", FIELDS, 4)
    assert reconstructed(folder, tmp_path / "mass.zarr", method, if_exists="resume").objects == 2
    assert content(tmp_path / "mass.zarr") == content(direct)


def test_reconstructed_store(folder, direct):
    mass, maps = lensdask.open(direct), lensdask.open(folder / "maps.zarr")
    MASS_MAPS.validate(mass)
    assert mass.attrs["pixel_scale"] == PIXEL_SCALE
    np.testing.assert_array_equal(mass["mask"], maps["mask"])
    assert not any(mass[name].isnull().any() for name in mass.data_vars)


def test_other_weights_are_another_run(folder, tmp_path):
    for suffix in (".safetensors", ".json"):
        shutil.copy(folder / f"tiny{suffix}", tmp_path / f"net{suffix}")
    path, network = tmp_path / "mass.zarr", tmp_path / "net.safetensors"
    reconstructed(folder, path, network)
    # The same weights elsewhere are the same method.
    assert reconstructed(folder, path, folder / "tiny.safetensors", if_exists="resume").objects == 0
    save_network(network, seed=1)
    with pytest.raises(InputError, match="another configuration"):
        reconstructed(folder, path, network, if_exists="resume")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"method": "ks93:1"}, {"method": "ks93:2"}),
        ({"method": "wiener"}, {"method": "wiener:lsst", "warn": lambda _line: None}),
        ({"method": "ks93"}, {"method": "ks93", "symmetrised": True}),
        ({"method": "ks93"}, {"method": "ks93", "products": Products(b_mode=True)}),
    ],
)
def test_other_settings_are_another_run(folder, tmp_path, first, second):
    arguments = folder / "maps.zarr", tmp_path / "mass.zarr"
    reconstruct_run(*arguments, options=RunOptions(**QUIET), **first)
    with pytest.raises(InputError, match="another configuration"):
        reconstruct_run(*arguments, options=RESUMED, **second)


def test_resume_notices_that_the_maps_were_replaced(tmp_path):
    paths = tmp_path / "maps.zarr", tmp_path / "mass.zarr"
    write(shear_store_dataset(2), paths[0])
    reconstruct_run(*paths, method="ks93", options=RunOptions(**QUIET))
    write(shear_store_dataset(2, seed=1), paths[0], overwrite=True)
    with pytest.raises(InputError, match="another configuration"):
        reconstruct_run(*paths, method="ks93", options=RESUMED)


def test_positions_on_the_sky_come_along(tmp_path):
    maps = shear_store_dataset(2).assign_coords(ra=("field", [150.0, 151.0]), dec=("field", [2.0, 2.5]))
    write(maps, tmp_path / "maps.zarr")
    reconstruct_run(tmp_path / "maps.zarr", tmp_path / "mass.zarr", method="ks93", options=RunOptions(**QUIET))
    for mass in (lensdask.open(tmp_path / "mass.zarr"), reconstruct(maps, "ks93")):
        MASS_MAPS.validate(mass)
        np.testing.assert_array_equal(mass["ra"], [150.0, 151.0])
        np.testing.assert_array_equal(mass["dec"], [2.0, 2.5])


def test_a_broken_field_is_named_and_nothing_half_written_is_left(tmp_path):
    maps = shear_store_dataset(4)
    maps["g1"][1, 20, 20], maps["mask"][1, 20, 20] = np.nan, 1
    write(maps, tmp_path / "maps.zarr", chunk=4)
    with pytest.raises(InputError, match="field 1: g1 is not finite inside the mask"):
        reconstruct_run(tmp_path / "maps.zarr", tmp_path / "mass.zarr", method="ks93", options=RunOptions(**QUIET))
    assert [path.name for path in tmp_path.iterdir()] == ["maps.zarr"]


def test_the_store_of_something_else_is_refused(folder, tmp_path, direct):
    for path, message in ((direct, "store of mass_maps"), (tmp_path / "nowhere.zarr", "does not exist")):
        with pytest.raises(InputError, match=message):
            reconstruct_run(path, tmp_path / "mass.zarr", options=RunOptions(**QUIET))
    maps = folder / "maps.zarr"
    with pytest.raises(InputError, match="expected two different stores"):
        reconstruct_run(maps, maps, options=RunOptions(if_exists="overwrite", **QUIET))
    assert list(tmp_path.iterdir()) == []


def test_configurations_are_plain_json():
    settings = SimulateFields(SKY, NOISE, None, 1).settings()
    assert json.loads(json.dumps(settings)) == settings
