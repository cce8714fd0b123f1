"""Damaged data are refused by name or read as they were: no disk and no network makes a wrong number."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from small_stores import make_old, small_dataset, small_store

from lensdask import data
from lensdask.data import SCHEMAS
from lensdask.data.checksums import is_checked, seal
from lensdask.errors import InputError

TRIALS = 500


def files_of(store: Path) -> list[Path]:
    return sorted(path for path in store.rglob("*") if path.is_file())


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes with one bit flipped, or cut off at some place."""
    place = int(rng.integers(len(content)))
    if rng.random() < 0.3:
        return content[:place]
    return content[:place] + bytes([content[place] ^ 1 << int(rng.integers(8))]) + content[place + 1 :]


@pytest.fixture(scope="module", params=SCHEMAS)
def whole(request, tmp_path_factory):
    """Return a store and what is in it."""
    store = small_store(tmp_path_factory.mktemp("damage") / "a.zarr", request.param)
    return store, data.open(store).load()


def test_what_is_written_is_read_back(whole):
    _, found = whole
    wanted = small_dataset(SCHEMAS[found.attrs["schema"]])
    xr.testing.assert_equal(found, wanted)
    assert found.attrs == wanted.attrs


def read(store: Path, opened: xr.Dataset, file: Path) -> xr.Dataset:
    """Return what is in a file, alone since that is faster; all where opening reads it."""
    name = file.relative_to(store).parts[0]
    return (
        opened[[name]].compute() if name in opened.data_vars and file.name != "zarr.json" else data.open(store).load()
    )


def test_no_flipped_bit_and_no_cut_is_silent(whole):
    store, wanted = whole
    rng, files, opened = np.random.default_rng(2), files_of(store), data.open(store)
    metadata = [file for file in files if file.name == "zarr.json"]
    chunks = [file for file in files if file.name != "zarr.json"]
    refused = 0
    for trial in range(-(-TRIALS // len(SCHEMAS))):
        file = rng.choice(metadata if trial % 4 == 0 else chunks)
        content = file.read_bytes()
        file.write_bytes(damaged(content, rng))
        try:
            found = read(store, opened, file)
        except InputError as error:
            assert str(file) in str(error)  # noqa: PT017  there need be none
            assert "\n" not in str(error)  # noqa: PT017
            refused += 1
        else:
            xr.testing.assert_identical(found, wanted[list(found.data_vars)])
        file.write_bytes(content)
    # Some bits of metadata are spaces.
    assert refused > 0.9 * trial
    xr.testing.assert_identical(data.open(store).load(), wanted)


def test_a_chunk_that_is_lost_is_not_a_number(whole):
    store, wanted = whole
    opened = data.open(store)
    # One of each array.
    for file in {file.relative_to(store).parts[0]: file for file in files_of(store) if "c" in file.parts}.values():
        content, name = file.read_bytes(), file.relative_to(store).parts[0]
        file.unlink()
        try:
            found = read(store, opened, file)
        except InputError as error:
            assert str(file) in str(error)  # noqa: PT017  there need be none
            assert wanted[name].dtype.kind != "f"
        else:
            lost = found[name].values != wanted[name].values
            assert lost.any()
            assert np.isnan(found[name].values[lost]).all()
        file.write_bytes(content)


def test_a_store_of_old_is_opened_as_ever(whole, tmp_path):
    _, wanted = whole
    store = small_store(tmp_path / "old.zarr", wanted.attrs["schema"])
    make_old(store)
    for file in store.glob("*/zarr.json"):
        assert not is_checked(json.loads(file.read_text())["codecs"])
    xr.testing.assert_identical(data.open(store).load(), wanted)


def test_in_a_store_of_old_what_is_not_there_is_fill_value_and_what_is_cut_off_is_refused(tmp_path):
    store = small_store(tmp_path / "old.zarr", "lenses")
    make_old(store)
    chunk = store / "label" / "c" / "0"
    content = chunk.read_bytes()
    chunk.unlink()
    assert data.open(store)["label"].values.tolist()[:2] == [0, 0]
    opened = data.open(store)["label"]
    for length in range(len(content)):
        chunk.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"label/c/0 is damaged \(it is cut off\)"):
            opened.compute()


def test_zeros_are_written_and_read(tmp_path):
    dataset = small_dataset(SCHEMAS["lenses"])
    dataset["label"][:] = 0
    data.write(dataset, tmp_path / "a.zarr", chunk=2)
    xr.testing.assert_equal(data.open(tmp_path / "a.zarr"), dataset)


def test_arrays_that_travel_name_their_chunks(tmp_path):
    """As to a worker of another process."""
    from distributed.protocol import deserialize, serialize

    store = small_store(tmp_path / "a.zarr", "shapes")
    opened = deserialize(*serialize(data.open(store)))
    chunk = store / "e1" / "c" / "1" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"a\.zarr/e1/c/1/0 is damaged .*checksum"):
        opened.load()


def test_metadata_of_new_chunks_without_their_checksums_are_refused(tmp_path):
    store = small_store(tmp_path / "a.zarr", "shapes")
    del zarr.open_group(store).attrs["metadata_sha256"]
    with pytest.raises(InputError, match=r"a\.zarr/zarr\.json is damaged: the checksums of the metadata are missing"):
        data.open(store)
    seal(store)
    data.open(store)


def test_metadata_with_other_spaces_are_the_same(tmp_path):
    store = small_store(tmp_path / "a.zarr", "shapes")
    for file in store.rglob("zarr.json"):
        file.write_text(json.dumps(json.loads(file.read_text()), indent=7, sort_keys=True))
    data.open(store)
