"""A cluster whose workers are still to come is waited for, aloud, and Ctrl-C ends the wait."""

import os
import signal
import threading
import time

import distributed
import numpy as np
import pytest
from faults import CHUNK, SIZE, result_bytes, start_driver, start_run

from lensdask.compute import start_cluster, status
from lensdask.compute.runs.journal_format import read_lines
from lensdask.compute.runs.window import Window


@pytest.fixture
def scheduler():
    """Give a cluster without workers."""
    with distributed.LocalCluster(
        n_workers=0, processes=False, host="127.0.0.1", protocol="tcp://", dashboard_address="127.0.0.1:0"
    ) as empty:
        yield empty


def test_workers_that_come_later_do_the_work(tmp_path, undisturbed, scheduler, capfd):
    come = threading.Timer(1.0, scheduler.scale, [1])
    with start_cluster(scheduler.scheduler_address) as client:
        came = time.time() + 1.0
        come.start()
        began = time.monotonic()
        result = start_run(tmp_path, client=client, show_progress=True)
        waited = time.monotonic() - began - result.wall_s
    come.join()
    # Clocks and the session begin when there is somebody to work.
    assert waited > 0.9
    session = next(line for line, _ in read_lines(status(tmp_path).journal) if line["event"] == "session")
    assert session["time"] > came - 0.1
    assert status(tmp_path).wall_s <= result.wall_s + 2e-3
    assert result_bytes(tmp_path, result.sums) == undisturbed
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == f"waiting for workers at {scheduler.scheduler_address}"
    assert len(lines) == 2
    assert lines[1].startswith(f"compute: {SIZE} galaxies")


def test_workers_that_vanish_are_waited_for(tmp_path, undisturbed, scheduler, capfd):
    scheduler.scale(1)

    def vanish():
        wait_for(lambda: len(list((tmp_path / "shapes.zarr").glob("e1/c/*"))) > 2)
        scheduler.scale(0)
        # Longer than the wait that is told of, on a busy machine too.
        time.sleep(6.0)
        scheduler.scale(1)

    with start_cluster(scheduler.scheduler_address) as client:
        client.wait_for_workers(1)
        thread = threading.Thread(target=vanish, daemon=True)
        thread.start()
        result = start_run(tmp_path, {"sleep": 0.1}, client=client, show_progress=True)
        thread.join(timeout=30)
    assert (result.quarantined, result.objects) == ((), SIZE)
    assert result_bytes(tmp_path, result.sums) == undisturbed
    (line,) = capfd.readouterr().err.splitlines()[:-1]
    assert line.startswith(f"waiting for workers at {scheduler.scheduler_address}; those that were there left or died")
    assert "memory" in line


def test_sums_that_die_with_the_last_worker_are_computed_again(scheduler):
    scheduler.scale(1)
    said = []
    with start_cluster(scheduler.scheduler_address) as client:
        client.wait_for_workers(1)
        window = Window(client, lambda chunk: {"count": np.array(chunk)}, "compute", said.append)
        assert window.room
        window.submit(3)
        wait_for(lambda: all(state.status == "finished" for state in client.futures.values()))
        scheduler.scale(0)
        wait_for(lambda: not client.nthreads())
        # Somebody who is not told that workers are missing starts none.
        come = threading.Thread(target=lambda: wait_for(lambda: said) or scheduler.scale(1), daemon=True)
        come.start()
        outcome = window.wait()
        come.join()
    assert (outcome.chunk, outcome.sums["count"], window.pending) == (3, 3, 0)
    assert len(said) == 1
    assert said[0].startswith(f"waiting for workers at {scheduler.scheduler_address}; those that were there")


def wait_for(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_scheduler_is_lost_while_its_workers_are_waited_for(tmp_path, undisturbed, scheduler):
    with start_cluster(scheduler.scheduler_address) as client:
        lost = threading.Timer(0.5, scheduler.close)
        lost.start()
        with pytest.raises(ConnectionError, match='the scheduler was lost; continue with if_exists="resume"'):
            start_run(tmp_path, client=client)
        lost.join()
    assert status(tmp_path).sessions == 0
    assert result_bytes(tmp_path, start_run(tmp_path, if_exists="resume").sums) == undisturbed


def test_a_cluster_with_workers_is_not_waited_for(tmp_path, scheduler, capfd):
    scheduler.scale(1)
    with start_cluster(scheduler.scheduler_address) as client:
        client.wait_for_workers(1)
        start_run(tmp_path, client=client, show_progress=True)
    assert "waiting" not in capfd.readouterr().err


def test_ctrl_c_while_waiting(tmp_path, undisturbed, scheduler):
    with start_driver(tmp_path, scheduler.scheduler_address) as driver:
        assert driver.stderr.readline() == f"waiting for workers at {scheduler.scheduler_address}\n"
        assert status(tmp_path).running
        began = time.monotonic()
        os.killpg(driver.pid, signal.SIGINT)
        message = driver.communicate(timeout=30)[1]
    assert time.monotonic() - began < 10
    last = message.strip().splitlines()[-1]
    done = f"interrupted with 0 of {SIZE // CHUNK} chunks done"
    assert last == f'KeyboardInterrupt: compute: {done}; continue with if_exists="resume"'
    assert not status(tmp_path).running
    assert result_bytes(tmp_path, start_run(tmp_path, if_exists="resume").sums) == undisturbed
