"""Published images are read as numbers; whatever else they hold is refused."""

import numpy as np
import pytest

import lensdask
from lensdask.errors import InputError
from lensdask.stronglens import read_published


@pytest.fixture
def published(tmp_path):
    draw = np.random.default_rng(1)
    for folder in ("no_sub", "cdm", "axion"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "one.npy", draw.random((8, 8)))
    np.savez(tmp_path / "axion" / "two.npz", image=draw.random((8, 8)), mass=1e-23)
    return tmp_path


def test_images_and_masses(published, tmp_path_factory):
    lenses = read_published(published, "euclid")
    assert lenses["label"].values.tolist() == [0, 1, 2, 2]
    np.testing.assert_allclose(lenses["log10_mass"], [np.nan, np.nan, np.nan, -23])
    np.testing.assert_array_equal(lenses["image"][1], np.load(published / "cdm" / "one.npy").astype("f4"))
    path = tmp_path_factory.mktemp("out") / "lenses.zarr"
    lensdask.write(lenses, path)
    np.testing.assert_array_equal(lensdask.open(path)["image"], lenses["image"])
    assert lensdask.open(path).attrs["seed"] is None


def refused(directory):
    with pytest.raises(InputError) as caught:
        read_published(directory, "euclid")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_objects_are_refused_and_never_run(published):
    class Trap:
        def __reduce__(self):
            return (open, (str(published / "sprung"), "w"))

    pair = np.empty(2, dtype=object)
    pair[:] = [np.ones((8, 8)), Trap()]
    np.save(published / "axion" / "a.npy", pair, allow_pickle=True)
    assert "Python objects" in refused(published)
    assert "numpy.savez(NAME, image=..., mass=...)" in refused(published)
    (published / "axion" / "a.npy").unlink()
    np.savez(published / "axion" / "a.npz", image=pair, mass=1e-23, allow_pickle=True)
    assert "Python objects" in refused(published)
    assert not (published / "sprung").exists()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.ones((8, 6)), "expected a square image"),
        (np.ones((7, 7)), "even number of pixels"),
        (np.full((8, 8), np.nan), "finite numbers"),
        (np.ones((10, 10)), "(10, 10) pixels; expected (8, 8)"),
        (np.ones((8, 8, 3)), "expected a square image"),
        (np.full((8, 8), "a"), "expected a square image"),
    ],
)
def test_other_images_are_refused(published, image, message):
    np.save(published / "vort.npy", image)
    (published / "vort").mkdir()
    np.save(published / "vort" / "z.npy", image)
    assert message in refused(published)


def test_files_that_are_no_images(published, tmp_path):
    (published / "cdm" / "z.npy").write_bytes(b"no image")
    refused(published)
    (published / "cdm" / "z.npy").unlink()
    np.savez(published / "cdm" / "z.npz", image=np.ones((8, 8)), mass=-1.0)
    assert "expected a positive axion mass in eV" in refused(published)
    np.savez(published / "cdm" / "z.npz", mass=1.0)
    assert "z.npz" in refused(published)
    (tmp_path / "empty").mkdir()
    assert "no images; expected folders no_sub" in refused(tmp_path / "empty")
