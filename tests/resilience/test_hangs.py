"""A worker that hangs does not hold a run up for ever, and not without a word."""

import threading
import time

import psutil
import pytest
from faults import CHUNK, SIZE, result_bytes, start_run

from lensdask.compute.runs.window import Window


def end_stopped_workers(client, end: threading.Event) -> None:
    """Have the scheduler see at once what it sees after minutes: that workers are not heard of any more."""
    scheduler, stopped = client.cluster.scheduler, set()
    while not end.wait(0.05):
        for nanny in list(client.cluster.workers.values()):
            if nanny.pid and nanny.pid not in stopped and is_stopped(nanny.pid):
                stopped.add(nanny.pid)
                scheduler.workers[nanny.worker_address].last_seen = 0.0
                client.sync(scheduler.check_worker_ttl)


def is_stopped(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def impatient(cluster):
    """Give the cluster, which ends a worker that hangs as soon as it does."""
    end = threading.Event()
    watch = threading.Thread(target=end_stopped_workers, args=(cluster, end), daemon=True)
    watch.start()
    yield cluster
    end.set()
    watch.join(timeout=30)
    assert not watch.is_alive()


def test_chunks_that_hang_on_one_worker_after_the_other(tmp_path, undisturbed, capfd, impatient):
    (tmp_path / "attempts").mkdir()
    config = {"attempts": str(tmp_path / "attempts"), "plan": {"16": ["hang"], "40": ["hang", "pass"]}}
    result = start_run(tmp_path, config, client=impatient, show_progress=True)
    (fault,) = result.quarantined
    assert fault.start == 16
    assert fault.reason == "its worker died or hung at every attempt; it may have run out of memory"
    assert result.objects == SIZE - CHUNK
    lines = capfd.readouterr().err.splitlines()
    told = [line for line in lines if line.endswith(" hung for 300 s and was ended; others take its chunks")]
    assert len(told) == 3
    assert all(line.startswith("worker tcp://127.0.0.1:") for line in told)
    resumed = start_run(tmp_path, if_exists="resume")
    assert resumed.objects == CHUNK
    assert result_bytes(tmp_path, resumed.sums) == undisturbed


@pytest.fixture
def soon(monkeypatch):
    """Have a run look every moment whether a chunk takes long."""
    monkeypatch.setattr("lensdask.compute.runs.window._RECOUNT_SECONDS", 0.01)
    monkeypatch.setattr("lensdask.compute.news._LONG_SECONDS", 0.1)


@pytest.mark.usefixtures("soon")
def test_a_chunk_that_takes_long_is_told_of_at_growing_intervals(cluster):
    said = []
    window = Window(cluster, time.sleep, "name", said.append)
    window.submit(1)
    assert window.wait().chunk == 1
    assert 1 <= len(said) <= 6
    advice = "if a worker hangs, kill its process: others compute its chunks"
    assert said[0] in {f"no chunk was finished for 0 min; computing on {one}; {advice}" for one in cluster.nthreads()}


def test_the_wait_for_somebody_to_work_is_no_chunk_that_takes_long(cluster, monkeypatch):
    monkeypatch.setattr("lensdask.compute.runs.window._RECOUNT_SECONDS", 0.01)
    said = []
    window = Window(cluster, time.sleep, "name", said.append)
    window._news._last -= 1e6
    window.submit(1)
    assert window.wait().chunk == 1
    assert said == []
