"""A run is finished only while its rows are there: what is lost is named, struck and computed again, to the bit."""

import json
import os
import re
import shutil
import signal
import time
from dataclasses import dataclass

import numpy as np
import pytest
from command_line import call
from small_stores import small_store

from lensdask import data
from lensdask.compute import (
    Chunks,
    Journal,
    NewStore,
    RunOptions,
    Task,
    journal_path,
    require_finished,
    run,
    status,
    verify,
)
from lensdask.data import LENSES, LSS_TILES, SCHEMAS, SHAPES
from lensdask.data.whole import StoredChunk
from lensdask.errors import InputError

SIZE, CHUNK = 7, 3


@dataclass(frozen=True)
class Count(Task):
    """Rows and sums that tell their places."""

    def __call__(self, start, stop, device):  # noqa: ARG002  the signature of tasks
        rows = np.arange(start + 1, stop + 1, dtype="float32")
        return {name: rows + k for k, name in enumerate(SHAPES.variables)}, {"sum": rows.sum(keepdims=True)}


def run_here(store, if_exists="resume"):
    output = NewStore(store, SHAPES, {"galaxy": SIZE}, {"galaxy": np.arange(5, 5 + SIZE)}, {"estimator": "fpfs"})
    options = RunOptions(if_exists=if_exists, show_progress=False)
    return run(Count(), Chunks(SIZE, CHUNK, "galaxies"), output, options, label="count")


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "a.zarr"
    run_here(path)
    return path


def flip(file, place=-6):
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)


def make_pipe(file):
    file.unlink()
    os.mkfifo(file)


def make_folder(file):
    file.unlink()
    (file / "inside").mkdir(parents=True)


def cut(file):
    file.write_bytes(file.read_bytes()[:-1])


def empty(file):
    file.write_bytes(b"")


def unlink(file):
    file.unlink()


CHUNKS, TEMPLATE = ["e1/c/1", "flux/c/2"], ["zarr.json", "e1/zarr.json", "galaxy/c/0", "galaxy/zarr.json"]


@pytest.mark.parametrize("damage", [unlink, empty, cut])
@pytest.mark.parametrize("file", CHUNKS + TEMPLATE)
def test_what_is_lost_is_seen_at_a_glance_and_made_again(store, file, damage):
    wanted, sums = data.open(store).load(), run_here(store).sums
    damage(store / file)
    found = status(store)
    assert str(store / file) in found.damage
    assert found.left == (file in CHUNKS)
    again = run_here(store)
    assert again.objects == {"e1/c/1": 3, "flux/c/2": 1}.get(file, 0)
    assert data.open(store).load().identical(wanted)
    assert [one["sum"] for one in again.sums] == [one["sum"] for one in sums]
    assert (status(store).left, status(store).damage) == (0, None)


@pytest.mark.parametrize("file", TEMPLATE)
def test_a_damaged_template_is_made_again(store, file):
    wanted = data.open(store).load()
    flip(store / file, 25)
    assert run_here(store).objects == 0
    assert data.open(store).load().identical(wanted)


def test_a_flipped_bit_is_found_by_reading(store):
    wanted = data.open(store).load()
    assert verify(store).damage == {}
    flip(store / "e1" / "c" / "1")
    assert status(store).left == 0
    found = verify(store)
    assert found.damage == {str(store / "e1" / "c" / "1"): "is damaged"}
    assert found.struck == (1,)
    assert status(store).left == 1
    assert run_here(store).objects == CHUNK
    assert data.open(store).load().identical(wanted)
    assert verify(store).damage == {}


def test_a_damaged_line_is_struck(store):
    journal = journal_path(store)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], lines[3].replace(b'"chunk": 1', b'"chunk": 0'), *lines[4:]]))
    with pytest.raises(InputError, match=r"line 4 is damaged: its checksum differs; .*lensdask verify"):
        run_here(store)
    found = verify(store)
    assert found.damage == {f"{journal}, line 4": "is damaged: its checksum differs"}
    again = run_here(store)
    assert again.objects == CHUNK
    assert [float(one["sum"][0]) for one in again.sums] == [6.0, 15.0, 7.0]


def test_a_journal_whose_first_line_is_damaged_is_refused(store):
    flip(journal_path(store), 5)
    for ask in (verify, status, run_here):
        with pytest.raises(InputError, match=r"line 1 is damaged.*start again"):
            ask(store)


def test_chunks_that_are_not_done_yet_are_not_lost(store):
    journal = journal_path(store)
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:3]))
    for path in store.glob("*/c/[12]"):
        path.unlink()
    assert (status(store).left, status(store).damage) == (2, None)
    assert (verify(store).damage, verify(store).left, verify(store).is_whole) == ({}, 2, False)
    assert run_here(store).objects == SIZE - CHUNK
    assert verify(store).is_whole


def test_a_store_that_is_gone_is_told(store):
    shutil.rmtree(store)
    assert (status(store).done, status(store).damage) == (0, f"{store} is gone")


def test_what_is_said_of_a_store_that_is_gone_is_true(store, monkeypatch, capfd):
    shutil.rmtree(store)
    assert call(monkeypatch, "status", journal_path(store)) == 0
    assert "count: its store is gone; start again with --overwrite" in capfd.readouterr().out
    for ask in (run_here, lambda path: require_finished(path, "counting")):
        with pytest.raises(InputError, match=r'is gone.*if_exists="overwrite"'):
            ask(store)


@pytest.mark.parametrize("damage", [make_pipe, make_folder])
def test_what_is_no_file_is_struck_and_computed_again(store, damage):
    whole = (store / "e1" / "c" / "1").read_bytes()
    damage(store / "e1" / "c" / "1")
    assert status(store).damage == f"{store / 'e1' / 'c' / '1'} is no file"
    assert verify(store).struck == (1,)
    damage(store / "e1" / "c" / "0")
    assert run_here(store).objects == 2 * CHUNK
    assert verify(store).is_whole
    assert (store / "e1" / "c" / "1").read_bytes() == whole


@pytest.mark.parametrize("damage", [make_pipe, make_folder])
def test_metadata_that_are_no_file_are_missing(store, damage):
    damage(store / "e1" / "zarr.json")
    with pytest.raises(InputError, match=r"zarr\.json is missing"):
        verify(store)
    assert run_here(store).objects == 0
    assert verify(store).is_whole


def test_a_reader_does_not_wait_for_a_pipe(store):
    make_pipe(store / "e1" / "c" / "1")
    with pytest.raises(InputError, match="a pipe or a socket; expected the chunk as it was written"):
        data.open(store)["e1"].load()


def test_a_journal_that_is_a_pipe_is_refused(store, monkeypatch):
    make_pipe(journal_path(store))
    assert call(monkeypatch, "status", store.parent) == 2
    with pytest.raises(InputError, match="a pipe or a socket; expected the journal of a run"):
        run_here(store)


def test_a_run_at_work_is_not_disturbed(store):
    (store / "e1" / "c" / "1").unlink()
    with Journal(journal_path(store)):
        assert status(store).damage is None
        with pytest.raises(InputError, match="another run is writing here"):
            verify(store)


def test_no_template_is_written_through_a_link(store, tmp_path):
    (tmp_path / "outside").mkdir()
    shutil.rmtree(store / "e1")
    (store / "e1").symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="a link leads out of the store"):
        run_here(store)
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_chunk_of_every_schema_is_looked_at(tmp_path, name):
    store = small_store(tmp_path / "a.zarr", name)
    files = sorted(str(path) for path in store.rglob("*") if path.is_file() and path.name != "zarr.json")
    assert verify(store).damage == {}
    assert verify(store).files == len(files)
    for number, file in enumerate(map(type(store), files)):
        (flip, cut, empty, unlink)[number % 4](file)
    assert sorted(verify(store).damage) == files


def test_chunks_of_several_dimensions_are_those_of_the_run(tmp_path):
    from lensdask.data.whole import stored_chunks

    tiles = {chunk.place[:2]: chunk.start for chunk in stored_chunks(small_store(tmp_path / "a.zarr", LSS_TILES.name))}
    starts = {place: start for place, start in tiles.items() if start is not None}
    assert starts == {(cosmology, seed): 3 * cosmology + seed for cosmology in range(3) for seed in range(3)}
    lenses = [chunk.start for chunk in stored_chunks(small_store(tmp_path / "b.zarr", LENSES.name))]
    assert {start for start in lenses if start is not None} == {0, 2}


def test_the_command(store, monkeypatch, capfd):
    whole = small_store(store.parent / "b.zarr", SHAPES.name)
    assert call(monkeypatch, "verify", store, whole) == 0
    printed = capfd.readouterr().out.splitlines()
    assert printed == [f"{store}: 31 files, whole", f"{whole}: 23 files, whole"]
    flip(store / "e1" / "c" / "1")
    assert call(monkeypatch, "verify", whole, store) == 1
    assert capfd.readouterr().out.splitlines()[1:] == [
        f"{store}/e1/c/1 is damaged",
        f"{store}: 31 files, 1 damaged or missing; 1 chunk left, compute with --resume",
    ]
    assert call(monkeypatch, "verify", store, "--json") == 1
    (line,) = capfd.readouterr().out.splitlines()
    assert json.loads(line) == {"store": str(store), "files": 21, "damage": {}, "struck": [], "left": 1}
    assert call(monkeypatch, "status", store) == 0
    assert capfd.readouterr().out.splitlines()[0].startswith("count: stopped; continue with --resume")
    (store / "zarr.json").unlink()
    assert call(monkeypatch, "status", store) == 0
    printed = capfd.readouterr().out.splitlines()
    assert printed[-1].startswith(f"  damage: {store}/zarr.json is missing; expected")


def test_an_interrupted_call_goes_on_where_it_was(store, monkeypatch, capfd):
    flip(store / "flux" / "c" / "0")
    read, seen = StoredChunk.read, []

    def counted(self):
        seen.append(self.file)
        if len(seen) == 20:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
        return read(self)

    monkeypatch.setattr(StoredChunk, "read", counted)
    assert call(monkeypatch, "verify", store, "--workers", 1) == 130
    line = capfd.readouterr().err.splitlines()[-1]
    assert re.fullmatch(r"lensdask: verify a.zarr: interrupted with \d+ of 31 chunks .* continue with --resume", line)
    # One may have been on record, and not counted yet.
    done = (store.parent / "a.zarr.verify.jsonl").read_text().count('"done"')
    assert 10 < done <= 20
    assert call(monkeypatch, "verify", store) == 2
    assert "a.zarr.verify.jsonl is of an earlier run; continue it with --resume" in capfd.readouterr().err
    seen[:] = [None] * 100
    assert call(monkeypatch, "verify", store, "--resume") == 1
    printed = capfd.readouterr()
    assert printed.out.splitlines()[0] == f"{store}/flux/c/0 is damaged"
    assert re.fullmatch(rf"verify a.zarr: {31 - done} files \(.*/s\)", printed.err.splitlines()[-1])
    # And one that is damaged, for the reason.
    assert len(seen) - 100 == 31 - done + 1
    assert status(store).left == 1
    assert not list(store.parent.glob("*.verify.jsonl"))


def test_a_cluster_reads(store):
    flip(store / "e1" / "c" / "1")
    found = verify(store, RunOptions(cluster="local", workers=2, show_progress=False))
    assert (found.damage, found.struck) == ({str(store / "e1" / "c" / "1"): "is damaged"}, (1,))


def test_mistakes_get_a_line(tmp_path, monkeypatch, capfd):
    assert call(monkeypatch, "verify", tmp_path / "nowhere.zarr") == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"lensdask: {tmp_path}/nowhere.zarr does not exist")
