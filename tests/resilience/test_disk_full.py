"""A full disk stops a run with one line; what was measured stays, and the rest follows when there is space again.

The faults are made in three ways: a chunk function that fails as a write does, a writer with a quota, both of which
run everywhere; and a small file system in memory, where the tests may mount one.
"""

import errno
import importlib
import os
import subprocess
from pathlib import Path

import dask
import distributed
import pytest
import zict
from faults import CHUNK, SIZE, result_bytes, start_run

from lensdask.compute import start_cluster, status
from lensdask.data import write_chunk

CHUNKS = SIZE // CHUNK


def check_stopped(folder: Path, error: OSError) -> int:
    """Check what a full disk leaves; return how many chunks were done."""
    assert error.errno in (errno.ENOSPC, errno.EDQUOT)
    done = status(folder).done
    advice = 'free some space and continue with if_exists="resume"'
    assert error.strerror == f"no space left on the device, {done} of {CHUNKS} chunks done; {advice}"
    assert Path(error.filename).is_relative_to(folder)
    found = status(folder)
    assert (found.quarantined, found.running) == ((), False)
    assert list(folder.rglob("*.partial")) == []
    assert {path.name for path in folder.iterdir()} <= {"shapes.zarr", "shapes.zarr.journal.jsonl", "attempts"}
    return done


def check_resumed(folder: Path, undisturbed, done: int) -> None:
    resumed = start_run(folder, if_exists="resume")
    assert resumed.objects == SIZE - done * CHUNK
    assert resumed.sessions == 2
    assert result_bytes(folder, resumed.sums) == undisturbed


@pytest.mark.parametrize("where", ["direct", "threads"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_chunks_that_find_the_disk_full(tmp_path, undisturbed, where, code):
    attempts, store = tmp_path / "attempts", tmp_path / "shapes.zarr"
    attempts.mkdir()
    plan = {str(start): ["full"] for start in range(40, SIZE, CHUNK)}
    config = {"plan": plan, "attempts": str(attempts), "store": str(store), "errno": code}
    if where == "direct":
        with pytest.raises(OSError, match="no space left") as caught:
            start_run(tmp_path, config)
    else:
        with start_cluster(where, workers=2) as client, pytest.raises(OSError, match="no space left") as caught:
            start_run(tmp_path, config, client=client)
    # Every chunk before the first that failed is kept, also those that were in flight then.
    assert check_stopped(tmp_path, caught.value) == 10
    # The run ends with what was in flight; nothing is tried again.
    assert len(list(attempts.iterdir())) <= 10 + 4
    check_resumed(tmp_path, undisturbed, 10)


def test_a_writer_that_exceeds_its_quota(tmp_path, undisturbed, monkeypatch):
    written = []

    def write(path, start, table):
        if len(written) == 7:
            # Half of the variables are on disk already, as if the quota ended in the middle of the chunk.
            (Path(path) / "e1" / "c" / "7.0a.partial").write_bytes(b"half")
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        write_chunk(path, start, table)
        written.append(start)

    monkeypatch.setattr(importlib.import_module("lensdask.compute.runs.engine"), "write_chunk", write)
    with pytest.raises(OSError, match="no space left") as caught:
        start_run(tmp_path)
    assert check_stopped(tmp_path, caught.value) == 7
    monkeypatch.undo()
    check_resumed(tmp_path, undisturbed, 7)


@pytest.mark.parametrize("line", [0, 1, 2, 9])
def test_a_journal_that_does_not_fit(tmp_path, undisturbed, monkeypatch, line):
    flushed, fsync = [], os.fsync

    def quota(file):
        flushed.append(file)
        if len(flushed) > line:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(file)

    monkeypatch.setattr("lensdask.compute.runs.journal.os.fsync", quota)
    with pytest.raises(OSError, match="no space left") as caught:
        start_run(tmp_path)
    monkeypatch.undo()
    assert caught.value.filename == str(tmp_path / "shapes.zarr.journal.jsonl")
    if line == 0:
        assert list(tmp_path.iterdir()) == []
        assert result_bytes(tmp_path, start_run(tmp_path).sums) == undisturbed
        return
    done = max(0, line - 2)  # header, session
    if line > 1:
        assert check_stopped(tmp_path, caught.value) == done
    resumed = start_run(tmp_path, if_exists="resume")
    assert resumed.objects == SIZE - done * CHUNK
    assert result_bytes(tmp_path, resumed.sums) == undisturbed


@pytest.fixture
def small_disk(tmp_path):
    """Give a file system in memory of which tests set the size."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")

    def resize(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True, capture_output=True)

    yield folder, resize
    subprocess.run(["umount", str(folder)], check=True, capture_output=True)


# A page for the header of the journal; some for the template of the store; some chunks of it.
@pytest.mark.parametrize(("size", "chunks"), [("4k", (0, 0)), ("60k", (0, 0)), ("300k", (2, 12)), ("600k", (8, 18))])
def test_a_disk_that_is_full(undisturbed, small_disk, size, chunks):
    folder, resize = small_disk
    resize(size)
    with pytest.raises(OSError, match="no space left") as caught:
        start_run(folder)
    done = check_stopped(folder, caught.value)
    assert chunks[0] <= done <= chunks[1]
    resize("8m")
    check_resumed(folder, undisturbed, done)


def test_a_full_disk_for_spilled_results_changes_nothing(tmp_path, undisturbed, monkeypatch):
    tried = []

    def full(_file, key, _value):
        tried.append(key)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(zict.File, "__setitem__", full)
    # Everything that is finished is to go to disk at once.
    limits = {"target": 1e-9, "spill": False, "pause": False, "terminate": False}
    with (
        dask.config.set({f"distributed.worker.memory.{name}": value for name, value in limits.items()}),
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            memory_limit="4GiB",
            host="127.0.0.1",
            protocol="tcp://",
            dashboard_address="127.0.0.1:0",
        ) as workers,
        start_cluster(workers.scheduler_address) as client,
    ):
        result = start_run(tmp_path, client=client)
    assert tried
    assert (result.quarantined, result.objects) == ((), SIZE)
    assert result_bytes(tmp_path, result.sums) == undisturbed
