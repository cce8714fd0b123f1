"""Stores that lack chunks say so when they are opened, in a line; whole ones do not."""

import shutil

import pytest
from small_stores import make_old, small_store

import lensdask
from lensdask.data import LSS_TILES, SCHEMAS, SHAPES
from lensdask.data.whole import stored_chunks


@pytest.mark.parametrize("name", SCHEMAS)
def test_chunks_that_are_missing_are_counted(tmp_path, name):
    store = small_store(tmp_path / "a.zarr", name)
    lensdask.open(store)
    chunks = [chunk for chunk in stored_chunks(store) if chunk.start is not None]
    last = max(chunk.file.relative_to(store).parts[0] for chunk in chunks)
    files = [chunk.file for chunk in chunks if chunk.file.relative_to(store).parts[0] == last]
    # A killed writer may have left the folder of a chunk without it.
    files[-1].unlink()
    message = f'a.zarr: 1 of {len(files)} chunks are missing, not written yet or lost; .*if_exists="resume"$'
    with pytest.warns(UserWarning, match=message) as told:
        lensdask.open(store)
    assert (len(told), told[0].filename) == (1, __file__)
    shutil.rmtree(store / last / "c")
    with pytest.warns(UserWarning, match=f"{len(files)} of {len(files)} chunks are missing"):
        lensdask.open(store)


@pytest.mark.parametrize("name", [SHAPES.name, LSS_TILES.name])
def test_stores_of_old_may_lack_chunks(tmp_path, name):
    store = small_store(tmp_path / "a.zarr", name)
    make_old(store)
    for folder in store.glob("*/c"):
        shutil.rmtree(folder)
    lensdask.open(store)
