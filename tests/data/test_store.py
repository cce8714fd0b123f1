"""Stores: what is written is read back, and what would lose data is refused."""

import errno
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from small_stores import make_old

from lensdask import data
from lensdask.data import SHAPES, STAMPS
from lensdask.data.checksums import seal
from lensdask.errors import InputError
from lensdask.maps.fields import ShearMaps, shear_dataset
from lensdask.places import located, refuse_same

ATTRIBUTES = {"configuration_hash": "0", "estimator": "fpfs"}
STAMP_ATTRIBUTES = {
    "configuration_hash": "0",
    "pixel_scale": 0.2,
    "noise_sigma": 0.594,
    "seed": None,
    "origin": "(n-1)/2",
}


def table(start: int, stop: int, shears: int = 2) -> dict[str, np.ndarray]:
    rows = np.arange(start, stop, dtype="float32")[:, None] * np.ones(shears, "float32")
    return {name: rows + k for k, name in enumerate(SHAPES.variables)}


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "shapes.zarr"
    data.create(
        path,
        SHAPES,
        sizes={"galaxy": 25, "shear": 2},
        coords={"galaxy": np.arange(100, 125), "g1": [0.02, -0.02], "g2": [0.0, 0.0]},
        attributes=ATTRIBUTES,
        chunk=10,
    )
    return path


def stamps(per_galaxy_psf: bool, shear: bool = True) -> xr.Dataset:
    rng = np.random.default_rng(1)
    image = rng.normal(size=(7, 2, 8, 8) if shear else (7, 8, 8)).astype("float32")
    psf = rng.normal(size=(7, 8, 8) if per_galaxy_psf else (8, 8))
    attributes = data.common_attributes(STAMPS, {"a": 1}) | STAMP_ATTRIBUTES
    return xr.Dataset(
        {
            "image": (("galaxy", "shear", "y", "x") if shear else ("galaxy", "y", "x"), image),
            "psf": (("galaxy", "y", "x") if per_galaxy_psf else ("y", "x"), psf),
        },
        {"galaxy": np.arange(7), **({"g1": ("shear", [0.02, -0.02])} if shear else {})},
        attributes,
    )


def test_unwritten_chunks_read_as_nan(store):
    dataset = data.open(store)
    assert np.isnan(dataset["e1"].values).all()
    np.testing.assert_array_equal(dataset["galaxy"], np.arange(100, 125))
    np.testing.assert_array_equal(dataset["g1"], [0.02, -0.02])
    assert set(dataset.coords) == {"galaxy", "g1", "g2"}


def test_chunks_are_read_back(store):
    for start in (20, 0, 10):
        data.write_chunk(store, start, table(start, min(start + 10, 25)))
    dataset = data.open(store)
    for name, values in table(0, 25).items():
        np.testing.assert_array_equal(dataset[name], values)
    assert dataset["e1"].chunks == ((10, 10, 5), (2,))
    assert dataset["flux"].attrs["units"] == "3.631 nJy"
    assert dataset.attrs["schema"] == "shapes"


def test_several_chunks_at_once(store):
    data.write_chunk(store, 10, table(10, 25))
    assert int(data.open(store)["e1"].notnull().sum()) == 30


@pytest.mark.parametrize(
    ("start", "stop"), [(5, 15), (0, 5), (0, 15), (10, 24), (20, 30), (-10, 0), (10, 10), (30, 40)]
)
def test_misaligned_write_is_refused(store, start, stop):
    with pytest.raises(InputError, match="does not cover whole chunks of 10"):
        data.write_chunk(store, start, table(start, stop))
    assert np.isnan(data.open(store)["e1"].values).all()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t | {"extra": t["e1"]}, "has 'extra'"),
        (lambda t: t | {"galaxy": np.arange(10)}, "has 'galaxy'"),
        (lambda t: {k: v for k, v in t.items() if k != "e2"}, "lacks 'e2'"),
        (lambda t: t | {"e1": t["e1"].astype("float64")}, "'e1' is float64"),
        (lambda t: t | {"e1": t["e1"][:, :1]}, r"'e1' is float32 of shape \(10, 1\)"),
        (lambda t: t | {"e1": t["e1"][:, 0]}, "'e1' is float32 of shape"),
        (lambda t: t | {"e1": np.float32(1)}, "'e1' is float32 of shape"),
        (lambda t: t | {"e1": np.ones((20, 2), "float32")}, "differ in length"),
    ],
)
def test_other_arrays_are_refused(store, spoil, message):
    with pytest.raises(InputError, match=message):
        data.write_chunk(store, 0, spoil(table(0, 10)))
    assert np.isnan(data.open(store)["e2"].values).all()


def test_a_range_of_ids_is_written_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr("lensdask.data.template._COORDINATE_CHUNK", 10)
    coords = {"galaxy": range(7, 32), "g1": [0.02, -0.02], "g2": [0.0, 0.0]}
    sizes = {"galaxy": 25, "shear": 2}
    data.create(tmp_path / "s.zarr", SHAPES, sizes=sizes, coords=coords, attributes=ATTRIBUTES)
    np.testing.assert_array_equal(data.open(tmp_path / "s.zarr")["galaxy"], np.arange(7, 32))


def test_existing_path_is_refused(store):
    with pytest.raises(InputError, match="overwrite=True"):
        data.create(store, SHAPES, sizes={}, coords={}, attributes={})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": {"shear": 2}}, "no size for 'galaxy'"),
        ({"coords": {"galaxy": np.arange(24)}}, r"shape \(24,\); expected \(25,\)"),
        ({"coords": {"galaxy": np.arange(25.0)}}, "'galaxy' is float64"),
        ({"coords": {}}, "'galaxy' is missing"),
        ({"coords": {"galaxy": np.arange(25), "ra": np.arange(25)}}, "'ra' is unknown"),
        ({"fixed": {"mask": np.ones(3)}}, "'mask' is unknown"),
        ({"attributes": {}}, "attribute 'configuration_hash' is missing"),
        ({"chunk": 0}, "chunk is 0"),
    ],
)
def test_bad_template_leaves_nothing_behind(tmp_path, change, message):
    arguments = {
        "sizes": {"galaxy": 25, "shear": 2},
        "coords": {"galaxy": np.arange(25)},
        "attributes": ATTRIBUTES,
    }
    with pytest.raises(InputError, match=message):
        data.create(tmp_path / "s.zarr", SHAPES, **(arguments | change))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("per_galaxy_psf", [True, False])
@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("shear", [True, False])
def test_write_and_open(tmp_path, per_galaxy_psf, lazy, shear):
    dataset = stamps(per_galaxy_psf, shear)
    given = dataset.chunk(galaxy=2) if lazy else dataset
    data.write(given, tmp_path / "s.zarr", chunk=3)
    opened = data.open(tmp_path / "s.zarr")
    assert isinstance(opened["image"].data, da.Array)
    assert opened["image"].chunks[0] == (3, 3, 1)
    xr.testing.assert_equal(opened, dataset)
    assert opened.attrs == dataset.attrs


def test_write_over_itself(tmp_path):
    data.write(stamps(True), tmp_path / "s.zarr", chunk=3)
    changed = data.open(tmp_path / "s.zarr").map(lambda v: 2 * v, keep_attrs=True)
    with pytest.raises(InputError, match="overwrite=True"):
        data.write(changed, tmp_path / "s.zarr")
    data.write(changed, tmp_path / "s.zarr", chunk=7, overwrite=True)
    xr.testing.assert_equal(data.open(tmp_path / "s.zarr"), stamps(True).map(lambda v: 2 * v, keep_attrs=True))
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]


def test_cut_at_one_shear_is_written(tmp_path):
    data.write(stamps(True).isel(shear=0), tmp_path / "s.zarr")
    assert float(data.open(tmp_path / "s.zarr")["g1"]) == 0.02


def test_sharded_store_is_opened_by_shards(store):
    group = zarr.open_group(store)
    del group["e1"]
    group.create_array(
        "e1",
        shape=(25, 2),
        dtype="float32",
        chunks=(2, 2),
        shards=(10, 2),
        dimension_names=("galaxy", "shear"),
        fill_value=np.nan,
    )
    seal(store)
    assert data.open(store)["e1"].chunks[0] == (10, 10, 5)
    with pytest.raises(InputError, match="whole chunks"):
        data.write_chunk(store, 0, table(0, 2))


def test_open_refuses_what_it_does_not_know(tmp_path, store):
    with pytest.raises(InputError, match="does not exist"):
        data.open(tmp_path / "absent.zarr")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("text")
    zarr.create_group(tmp_path / "foreign")
    for name in ("empty", "file", "foreign"):
        with pytest.raises(InputError, match="is not a store written by lensdask"):
            data.open(tmp_path / name)
    zarr.open_group(store).attrs["schema_version"] = 2
    seal(store)
    with pytest.raises(InputError, match="version 2 of schema 'shapes'; this lensdask reads 1"):
        data.open(store)
    zarr.open_group(store).attrs["schema"] = "sounds"
    seal(store)
    with pytest.raises(InputError, match="'sounds' is unknown; expected stamps or shapes or shear_maps or mass_maps"):
        data.open(store)


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO, errno.EMFILE])
def test_a_file_system_at_fault_is_not_the_input_at_fault(store, monkeypatch, code):
    """A worker that lost a mount may not stop the run of the others."""

    def fail(*_, **__):
        raise OSError(code, "of one machine")

    monkeypatch.setattr("lensdask.data.groups.zarr.open_group", fail)
    with pytest.raises(OSError, match="of one machine"):
        data.open(store)


def test_open_refuses_a_damaged_store(store):
    del zarr.open_group(store)["e1"]
    with pytest.raises(InputError, match=r"shapes\.zarr/e1/zarr\.json is missing"):
        data.open(store)
    seal(store)
    with pytest.raises(InputError, match=r"shapes\.zarr: .*'e1' is missing"):
        data.open(store)


def test_only_stores_are_removed(tmp_path, store):
    (tmp_path / "papers").mkdir()
    with pytest.raises(InputError):
        data.remove(tmp_path / "papers")
    assert (tmp_path / "papers").exists()
    data.remove(store)
    assert [path.name for path in tmp_path.iterdir()] == ["papers"]


def test_sweep_partial(store):
    (store / "e1" / "c.0123.partial").write_bytes(b"half")
    (store.parent / f".{store.name}.0123.partial" / "e1").mkdir(parents=True)
    (store.parent / ".other.zarr.0123.partial").mkdir()
    assert data.sweep_partial(store) == 2
    assert data.sweep_partial(store) == 0
    assert (store.parent / ".other.zarr.0123.partial").exists()


def test_configuration_hash():
    one = data.configuration_hash({"a": 1, "b": {"c": 0.1, "d": [1, None]}})
    assert one == data.configuration_hash({"b": {"d": [1, None], "c": 0.1}, "a": 1})
    assert one != data.configuration_hash({"a": 1, "b": {"c": 0.2, "d": [1, None]}})
    for bad in ({"a": np.ones(2)}, {"a": float("nan")}):
        with pytest.raises(InputError, match="configuration"):
            data.configuration_hash(bad)


def test_a_store_of_the_last_release_is_read_with_a_warning(tmp_path):
    zeros = np.zeros((2, 4, 4))
    maps = shear_dataset(ShearMaps(zeros, zeros, zeros + 1, zeros + 0.1, zeros + 1), count=zeros + 1, pixel_scale=1.0)
    path = tmp_path / "maps.zarr"
    data.write(maps, path)
    make_old(path)
    (path / "measurement_error").rename(path / "error")
    with pytest.warns(DeprecationWarning, match="'error' is now 'measurement_error'"):
        found = data.open(path)
    np.testing.assert_array_equal(found["measurement_error"], maps["measurement_error"])


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "the path is empty"),
        ("memory://", "memory:// has no name of a store"),
        ("nosuch://bucket/there", "nosuch://bucket/there.*Protocol not known: nosuch"),
        (
            "file://elsewhere/there",
            "file://elsewhere/there: a file of another machine, elsewhere; expected file:///PATH",
        ),
        ("ftp://me:hunter2@host/there", "ftp://…: a password in a URL"),
    ],
)
def test_what_is_no_place_is_refused_before_anything_is_made(tmp_path, monkeypatch, store, url, expected):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    known = data.open(store)
    for call in (lambda: data.open(url), lambda: data.write(known, url)):
        with pytest.raises(InputError, match=expected) as caught:
            call()
        assert "hunter2" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_store_that_is_written_in_parts_is_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = "s3://bucket/there"
    for call in (
        lambda: data.create(url, SHAPES, sizes={"galaxy": 1}, coords={"galaxy": range(1)}, attributes={}),
        lambda: data.write_chunk(url, 0, {}),
    ):
        with pytest.raises(InputError, match=f"{url}: a store that is written in parts cannot be behind a URL"):
            call()
    assert not list(tmp_path.iterdir())


def test_a_url_of_this_machine_is_a_path(tmp_path, monkeypatch, store):
    monkeypatch.chdir(tmp_path)
    data.write(data.open(f"file://{store}"), f"file://{tmp_path}/a%20copy.zarr")
    assert data.open(tmp_path / "a copy.zarr").identical(data.open(store))
    assert not (tmp_path / "file:").exists()


def test_schemes_are_in_any_case_and_this_machine_has_a_name():
    for url in (
        "file:///tmp/a",
        "FILE:///tmp/a",
        "file://localhost/tmp/a",
        "File://LOCALHOST/tmp/a",
        Path("file:///tmp/a"),
    ):
        assert located(url) == Path("/tmp/a")
    assert located("file:///localhost/a") == located(Path("file:///localhost/a")) == Path("/localhost/a")
    assert str(located("S3://Bucket/a")) == "s3://Bucket/a"


@pytest.mark.parametrize(
    ("output", "source"), [("a.zarr/b.zarr", "a.zarr"), ("a", "a/b.zarr"), ("s3://b/a/c", "s3://b/a")]
)
def test_no_store_is_written_inside_of_what_is_read(output, source):
    with pytest.raises(InputError, match=r"is inside of .*; expected two stores beside each other"):
        refuse_same(output, source)
    refuse_same(f"{output}2", f"{output}1")
