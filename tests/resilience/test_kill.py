"""Whatever is killed, nothing is lost, and the result is the same to the bit."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from faults import CHUNK, SIZE, Faulty, result_bytes, start_driver, start_run, wait_until_done

from lensdask import data
from lensdask.compute import journal_path
from lensdask.errors import InputError

CHUNKS = SIZE // CHUNK

STARTS = """
import sys

from lensdask.compute import start_cluster

if __name__ == "__main__":
    print("starting", flush=True)
    try:
        with start_cluster("local", workers=2):
            while True:
                pass
    except KeyboardInterrupt:
        sys.exit("interrupted")
"""


@pytest.mark.parametrize("where", ["direct", "local"])
def test_driver_killed_and_resumed(tmp_path, undisturbed, where):
    with start_driver(tmp_path, where) as driver:
        wait_until_done(tmp_path, CHUNKS // 2, driver)
        children = psutil.Process(driver.pid).children(recursive=True)
        driver.kill()
    assert len(children) >= 2 or where == "direct"
    assert psutil.wait_procs(children, timeout=20)[1] == [], "orphans"
    resumed = start_run(tmp_path, if_exists="resume")
    assert 0 < resumed.objects <= SIZE // 2
    assert result_bytes(tmp_path, resumed.sums) == undisturbed


@pytest.mark.parametrize("where", ["direct", "local"])
def test_interrupt_from_the_keyboard(tmp_path, undisturbed, where):
    with start_driver(tmp_path, where) as driver:
        wait_until_done(tmp_path, CHUNKS // 4, driver)
        children = psutil.Process(driver.pid).children(recursive=True)
        # Like a terminal: to the driver and its workers alike.
        os.killpg(driver.pid, signal.SIGINT)
        message = driver.communicate(timeout=30)[1]
    assert driver.returncode != 0
    assert message.count("Traceback") == 1
    last = message.strip().splitlines()[-1]
    assert last.startswith("KeyboardInterrupt: compute: interrupted with")
    assert last.endswith('continue with if_exists="resume"')
    assert psutil.wait_procs(children, timeout=20)[1] == [], "orphans"
    resumed = start_run(tmp_path, if_exists="resume")
    assert resumed.objects < SIZE
    assert result_bytes(tmp_path, resumed.sums) == undisturbed


@pytest.mark.parametrize("wait", [0.1, 1.5])
def test_interrupt_while_the_cluster_starts(tmp_path, wait):
    script = tmp_path / "starts.py"
    script.write_text(STARTS)
    command = [sys.executable, str(script)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], start_new_session=True, **pipes) as starting:
        assert starting.stdout.readline() == "starting\n"
        time.sleep(wait)
        os.killpg(starting.pid, signal.SIGINT)
        printed = starting.communicate(timeout=60)
    assert printed == ("", "interrupted\n")


@pytest.mark.parametrize("cut", [1, 30])
def test_torn_journal_line(tmp_path, undisturbed, cut):
    start_run(tmp_path)
    journal = journal_path(tmp_path / "shapes.zarr")
    journal.write_bytes(journal.read_bytes()[:-cut])
    resumed = start_run(tmp_path, if_exists="resume")
    assert resumed.objects == CHUNK
    assert result_bytes(tmp_path, resumed.sums) == undisturbed


def test_killed_before_the_first_chunk(tmp_path, undisturbed):
    with start_driver(tmp_path, "direct") as driver:
        wait_until_done(tmp_path, 0, driver)
        driver.kill()
    resumed = start_run(tmp_path, if_exists="resume")
    assert result_bytes(tmp_path, resumed.sums) == undisturbed


def test_leftovers_are_swept(tmp_path):
    start_run(tmp_path)
    leftover = tmp_path / "shapes.zarr" / "e1" / "c" / "0.0123.partial"
    leftover.write_bytes(b"half")
    start_run(tmp_path, if_exists="resume")
    assert not leftover.exists()


def test_chunk_that_raises_at_first(tmp_path, undisturbed, cluster):
    (tmp_path / "attempts").mkdir()
    config = {
        "attempts": str(tmp_path / "attempts"),
        "plan": {"8": ["raise", "pass"], "40": ["raise", "raise", "pass"]},
    }
    result = start_run(tmp_path, config, client=cluster)
    assert result.retries == 3
    assert result.quarantined == ()
    assert result_bytes(tmp_path, result.sums) == undisturbed


def test_killed_worker_is_replaced(tmp_path, undisturbed, cluster):
    (tmp_path / "attempts").mkdir()
    config = {"attempts": str(tmp_path / "attempts"), "plan": {"16": ["kill", "pass"]}}
    result = start_run(tmp_path, config, client=cluster)
    assert result.quarantined == ()
    assert result_bytes(tmp_path, result.sums) == undisturbed


def kill_a_busy_worker(client, deadline: float) -> None:
    """Kill a worker from outside while it computes."""
    while time.monotonic() < deadline:
        busy = [worker.name for worker in list(client.cluster.scheduler.workers.values()) if worker.processing]
        pids = [client.cluster.workers[name].pid for name in busy]
        if pids and pids[0]:
            os.kill(pids[0], signal.SIGKILL)
            return
        time.sleep(0.01)


def test_three_workers_killed_from_outside(tmp_path, undisturbed, cluster, monkeypatch):
    # Dask's own setting, under which three deaths are no fault of the chunk.
    monkeypatch.setattr(cluster.cluster.scheduler, "allowed_failures", 3)
    struck, deadline = [], time.monotonic() + 60

    def strike():
        for done in (2, 7, 12):
            while len(list((tmp_path / "shapes.zarr").glob("e1/c/*"))) < done:
                if time.monotonic() > deadline:
                    return
                time.sleep(0.01)
            kill_a_busy_worker(cluster, deadline)
            struck.append(done)

    # A daemon: if the run fails, the test ends.
    killer = threading.Thread(target=strike, daemon=True)
    killer.start()
    result = start_run(tmp_path, {"sleep": 0.1}, client=cluster)
    killer.join(timeout=60)
    assert struck == [2, 7, 12]
    assert (result.quarantined, result.retries, result.objects) == ((), 0, SIZE)
    assert result_bytes(tmp_path, result.sums) == undisturbed


def test_chunk_that_always_kills_its_worker_is_quarantined(tmp_path, undisturbed, cluster):
    (tmp_path / "attempts").mkdir()
    config = {"attempts": str(tmp_path / "attempts"), "plan": {"16": ["kill"]}}
    result = start_run(tmp_path, config, client=cluster)
    (fault,) = result.quarantined
    assert (fault.chunk, fault.start, fault.stop) == (4, 16, 20)
    assert "worker died or hung" in fault.reason
    assert result.objects == SIZE - CHUNK
    rows = data.open(tmp_path / "shapes.zarr")["e1"]
    np.testing.assert_array_equal(np.flatnonzero(rows.isnull()), np.arange(16, 20))
    resumed = start_run(tmp_path, if_exists="resume")
    assert resumed.objects == CHUNK
    assert result_bytes(tmp_path, resumed.sums) == undisturbed


def test_two_runs_in_one_place(tmp_path):
    with start_driver(tmp_path, "direct") as driver:
        wait_until_done(tmp_path, 1, driver)
        for if_exists in ("resume", "overwrite"):
            with pytest.raises(InputError, match="another run is writing here"):
                start_run(tmp_path, if_exists=if_exists)
        driver.kill()


def test_another_configuration(tmp_path):
    start_run(tmp_path)
    with pytest.raises(InputError, match="another configuration"):
        start_run(tmp_path, task=Faulty(seed=2), if_exists="resume")


def test_other_chunks(tmp_path):
    start_run(tmp_path)
    with pytest.raises(InputError, match="another configuration"):
        start_run(tmp_path, chunk=CHUNK + 1, if_exists="resume")
