"""Workers with too little memory: a run goes on as well as it can, or ends and says so; it never waits for ever."""

import threading
import time
from functools import partial

import distributed
import pytest
from faults import CHUNK, SIZE, result_bytes, start_run

from lensdask.compute import start_cluster, status
from lensdask.compute.news import full_workers


def limit_memory(monkeypatch, limit: str) -> None:
    """Have clusters of this machine give that much to each worker."""
    monkeypatch.setattr(distributed, "LocalCluster", partial(distributed.LocalCluster, memory_limit=limit))


def test_a_chunk_that_always_fills_the_memory_is_quarantined(tmp_path, undisturbed, monkeypatch, capfd):
    limit_memory(monkeypatch, "800MB")
    (tmp_path / "attempts").mkdir()
    config = {"attempts": str(tmp_path / "attempts"), "plan": {"16": ["fill"]}}
    with start_cluster("local", workers=2) as client:
        result = start_run(tmp_path, config, client=client, show_progress=True)
    (fault,) = result.quarantined
    assert fault.start == 16
    assert fault.reason.endswith("it may have run out of memory")
    # Two by the side of others, two by itself.
    assert len(list((tmp_path / "attempts").glob("16-*"))) == 4
    assert "had filled its memory" in capfd.readouterr().err
    resumed = start_run(tmp_path, if_exists="resume")
    assert resumed.objects == CHUNK
    assert result_bytes(tmp_path, resumed.sums) == undisturbed


def test_workers_that_have_no_memory_to_begin_with(tmp_path, monkeypatch):
    limit_memory(monkeypatch, "200MB")
    monkeypatch.setattr("lensdask.compute.runs.window._MOST_FILLED", 2)
    with (
        start_cluster("local", workers=1) as client,
        pytest.raises(ConnectionError, match=r"[5-9] workers in a row filled their memory and finished no chunk; give"),
    ):
        start_run(tmp_path, {"sleep": 3}, client=client)
    assert status(tmp_path).done == 0


def pause(dask_worker: distributed.Worker) -> None:
    """Have a worker find its memory nearly full."""
    dask_worker.memory_manager.memory_pause_fraction = 1e-6


@pytest.mark.parametrize("known", [False, True])
def test_workers_that_take_nothing_any_more_are_restarted(tmp_path, undisturbed, monkeypatch, capfd, known):
    monkeypatch.setattr("lensdask.compute.runs.window._LOOK_SECONDS", 1.0)
    # Even the first question is not taken.
    monkeypatch.setattr("lensdask.compute.runs.window._ANSWER_SECONDS", 1.0)
    with start_cluster("local", workers=2) as client:
        client.run(pause)
        # Dask deals otherwise with what it had sent to a worker before it knew.
        while known and len(full_workers(client)) < 2:
            time.sleep(0.05)
        # A run that is never helped shall end too.
        stuck = threading.Timer(100, client.cluster.close)
        stuck.start()
        result = start_run(tmp_path, {"sleep": 0.2}, client=client, show_progress=True)
        stuck.cancel()
    assert (result.quarantined, result.objects) == ((), SIZE)
    assert result_bytes(tmp_path, result.sums) == undisturbed
    end = " took no chunks any more since its memory was nearly full and was started again; give workers more, or take "
    assert capfd.readouterr().err.count(end) == 2
