"""Stores behind URLs are what they would be on this machine: whole, checked, and refused in one line."""

import sys
from contextlib import suppress

import fsspec
import numpy as np
import pytest
import xarray as xr
from small_stores import make_old, small_dataset, small_store

from lensdask import data, remote
from lensdask.compute import StoreReference, verify
from lensdask.data import LSS_TILES, SCHEMAS, SHAPES, SHEAR_MAPS
from lensdask.errors import InputError

MEMORY = fsspec.filesystem("memory")


@pytest.fixture
def memory():
    yield "memory://lensdask"
    with suppress(FileNotFoundError):
        MEMORY.rm("/lensdask", recursive=True)


def remote_store(folder: str, name: str) -> str:
    """Write a small store of a schema, in several chunks, and return its URL."""
    small_store(f"{folder}/a.zarr", name)
    return f"{folder}/a.zarr"


def refused(action) -> str:
    with pytest.raises(InputError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_written_is_read_back(memory, tmp_path, name):
    url = remote_store(memory, name)
    wanted = data.open(small_store(tmp_path / "a.zarr", name)).load()
    xr.testing.assert_identical(data.open(url).load(), wanted)
    files = [file for file in (tmp_path / "a.zarr").rglob("*") if file.is_file()]
    assert sorted(MEMORY.find("/lensdask")) == sorted(f"/lensdask/{file.relative_to(tmp_path)}" for file in files)
    found = verify(url)
    assert found.is_whole
    assert found.files == len([file for file in files if file.name != "zarr.json"])


def test_nothing_is_replaced_that_was_not_to_be(memory):
    url = remote_store(memory, SHAPES.name)
    changed = small_dataset(SHAPES).assign(e1=small_dataset(SHAPES)["e1"] + 1)
    assert refused(lambda: data.write(changed, url)) == f"{url} exists; replace it with overwrite=True"
    # Lazily, from the very store that is replaced.
    lazy = data.open(url)
    data.write(lazy.assign(e1=lazy["e1"] + 1), url, overwrite=True)
    np.testing.assert_array_equal(data.open(url)["e1"], changed["e1"])
    assert not [file for file in MEMORY.find("/lensdask") if "partial" in file]
    MEMORY.pipe_file("/lensdask/mine/notes.txt", b"mine")
    with pytest.raises(InputError, match="mine is not a store written by lensdask"):
        data.write(changed, f"{memory}/mine", overwrite=True)
    assert MEMORY.cat_file("/lensdask/mine/notes.txt") == b"mine"


@pytest.mark.parametrize("name", [SHAPES.name, LSS_TILES.name, SHEAR_MAPS.name])
def test_no_damage_is_silent(memory, name):
    url, rng = remote_store(memory, name), np.random.default_rng(3)
    wanted = data.open(url).load()
    files = MEMORY.find("/lensdask")
    for number, file in enumerate(files):
        content = MEMORY.cat_file(file)
        place = int(rng.integers(1, len(content)))
        flipped = content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :]
        damaged = (flipped, content[:place], b"", None)[(number + number // 4) % 4]
        MEMORY.rm_file(file)
        if damaged is not None:
            MEMORY.pipe_file(file, damaged)
        # The metadata of the group name those of the arrays, and a flipped bit a name that there is not.
        where = url if file == "/lensdask/a.zarr/zarr.json" else f"memory:/{file}"
        assert where in refused(lambda: data.open(url).load())
        if file.endswith("zarr.json"):
            assert where in refused(lambda: verify(url))
        else:
            assert list(verify(url).damage) == [where]
        MEMORY.pipe_file(file, content)
    xr.testing.assert_identical(data.open(url).load(), wanted)


def test_a_store_without_checksums_is_read(memory, tmp_path):
    store = small_store(tmp_path / "a.zarr", SHAPES.name)
    make_old(store)
    MEMORY.put(str(store), "/lensdask/a.zarr", recursive=True)
    xr.testing.assert_identical(data.open(f"{memory}/a.zarr").load(), data.open(store).load())


class CutOff(BaseException):
    """The process is killed."""


class Changes:
    """Counts the changes of the file system in memory, and kills the process instead of one of them."""

    def __init__(self, monkeypatch):
        self.count, self.last = 0, None
        for method in ("pipe_file", "cp_file", "rm_file"):
            monkeypatch.setattr(type(MEMORY), method, self.counted(getattr(type(MEMORY), method)))

    def counted(self, original):
        def change(*arguments, **options):
            # Afterwards nobody clears up.
            if self.last is not None and self.count >= self.last:
                raise CutOff
            self.count += 1
            return original(*arguments, **options)

        return change


def what_opens(folder: str, known: dict[str, xr.Dataset]) -> set[str]:
    """Return which of the known datasets the stores in a folder are, and "none" where they do not open."""
    found = set()
    for place in MEMORY.ls(folder, detail=False) if MEMORY.exists(folder) else []:
        try:
            opened = data.open(f"memory:/{place}").load()
        except InputError:
            found.add("none")
        else:
            (name,) = (name for name, one in known.items() if one.equals(opened))
            found.add(name)
    return found


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_writer_that_is_cut_off_leaves_nothing_that_opens_as_whole(memory, monkeypatch, overwrite):
    url, old = f"{memory}/a.zarr", small_dataset(SHAPES)
    known = {"old": old, "new": old.assign(e1=old["e1"] + 1)}
    changes, found, number = Changes(monkeypatch), set(), 0
    while True:
        changes.last = None
        if MEMORY.exists("/lensdask"):
            MEMORY.rm("/lensdask", recursive=True)
        if overwrite:
            data.write(old, url, chunk=3)
        changes.count, changes.last = 0, number
        with suppress(CutOff):
            data.write(known["new"], url, chunk=3, overwrite=overwrite)
            break
        left = what_opens("/lensdask", known)
        assert left & {"old", "new"} or not overwrite
        found |= left
        number += 1
    assert what_opens("/lensdask", known) == {"new"}
    assert number > 3 * len(MEMORY.find("/lensdask"))
    assert found == {"new", "none"} | ({"old"} if overwrite else set())


def test_a_store_that_was_replaced_is_opened_again(memory):
    url, dataset = remote_store(memory, SHAPES.name), small_dataset(SHAPES)
    reference = StoreReference(url, dataset.attrs["configuration_hash"])
    first = reference.open()
    assert reference.open() is first
    name = first["e1"].data.name
    data.write(dataset.assign(e1=dataset["e1"] + 1), url, chunk=2, overwrite=True)
    # Dask takes chunks of one name for the same, where it has one in memory.
    assert reference.open()["e1"].data.name != name
    np.testing.assert_array_equal(reference.load(slice(0, 3))["e1"], dataset["e1"] + 1)
    with pytest.raises(InputError, match="changed since the run began; expected the same store"):
        StoreReference(url, "0").open()


@pytest.mark.parametrize("name", [SHAPES.name, LSS_TILES.name])
def test_a_bucket_holds_stores(bucket, tmp_path, name):
    url = remote_store(f"{bucket}/a folder", name)
    wanted = data.open(small_store(tmp_path / "a.zarr", name)).load()
    xr.testing.assert_identical(data.open(url).load(), wanted)
    assert verify(url).is_whole
    data.write(small_dataset(SCHEMAS[name]), url, overwrite=True)
    system = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
    assert not [file for file in system.find("bucket") if "partial" in file]
    chunk = next(file for file in system.find("bucket") if "/c/" in file)
    system.rm_file(chunk)
    assert f"s3://{chunk} is missing" in refused(lambda: data.open(url).load())
    system.pipe_file(chunk, b"x" * 99)
    assert f"s3://{chunk} is damaged" in refused(lambda: data.open(url).load())
    assert verify(url).damage == {f"s3://{chunk}": "is cut off"}


def test_what_a_server_refuses_is_a_line(bucket, unconnected):
    small = small_dataset(SHAPES)
    assert refused(lambda: data.open(f"{bucket}/a.zarr")).startswith("s3://bucket/a.zarr does not exist; expected")
    assert refused(lambda: data.open("s3://nobucket/a.zarr")).startswith("s3://nobucket/a.zarr does not exist")
    expected = "s3://nobucket/a.zarr: The specified bucket does not exist; expected a place that exists"
    assert refused(lambda: data.write(small, "s3://nobucket/a.zarr")) == expected
    unconnected.delenv("AWS_ACCESS_KEY_ID")
    remote._connected.cache_clear()
    expected = "s3://bucket/a.zarr/zarr.json: Unable to locate credentials; expected credentials with which it can"
    assert expected in refused(lambda: data.open(f"{bucket}/a.zarr"))
    # Which are found without another process.
    unconnected.setenv("AWS_ACCESS_KEY_ID", "a name")
    data.write(small, f"{bucket}/a.zarr")


def test_a_server_that_does_not_answer_is_a_line(unconnected):
    unconnected.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    unconnected.setenv("AWS_ACCESS_KEY_ID", "a name")
    unconnected.setenv("AWS_SECRET_ACCESS_KEY", "a key")
    for action in (data.open, verify, lambda url: data.write(small_dataset(SHAPES), url)):
        with pytest.raises(
            ConnectionError, match=r"^s3://bucket/a\.zarr\S*: its server does not answer \(Could not"
        ) as no:
            action("s3://bucket/a.zarr")
        assert "\n" not in str(no.value)


FAULTS = [(TimeoutError("late"), ConnectionError), (PermissionError("no"), InputError)]


@pytest.mark.parametrize(("fault", "kind"), FAULTS)
def test_a_fault_on_the_way_is_not_taken_for_a_store_that_is_lost(memory, monkeypatch, fault, kind):
    url = remote_store(memory, SHAPES.name)

    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(type(MEMORY), "info", fail)
    for action in (data.open, verify, lambda place: data.write(small_dataset(SHAPES), place, overwrite=True)):
        with pytest.raises(kind, match=f"{url}.*{fault}") as caught:
            action(url)
        assert "\n" not in str(caught.value)
    monkeypatch.undo()
    xr.testing.assert_equal(data.open(url).load(), small_dataset(SHAPES))


def test_a_file_system_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    line = refused(lambda: data.open("s3://bucket/a.zarr"))
    assert line.endswith("Install s3fs to access S3; expected pip install 'lensdask[s3]'")
