"""Whatever is killed, nothing is lost, and the result is the same to the bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dask
import numpy as np
import psutil
import pytest
from faults import CHUNK, SIZE, result_bytes, start_run

from lensdask import data
from lensdask.compute import journal_path, start_cluster
from lensdask.errors import InputError

CHUNKS = SIZE // CHUNK


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return result_bytes(folder, start_run(folder).sums)


@pytest.fixture(scope="module")
def cluster():
    # Fewer worker deaths than usual until Dask blames a chunk: each costs a restart.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        start_cluster("local", workers=2) as client,
    ):
        yield client


def start_driver(folder: Path, cluster: str) -> subprocess.Popen:
    driver = Path(__file__).with_name("driver.py")
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen(
        [sys.executable, str(driver), str(folder), cluster],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until_done(folder: Path, chunks: int, driver: subprocess.Popen) -> None:
    journal = journal_path(folder / "shapes.zarr")
    for _ in range(600):
        if journal.exists() and journal.read_bytes().count(b"\n") > chunks:
            return
        assert driver.poll() is None, driver.stderr.read()
        time.sleep(0.05)
    raise TimeoutError(f"{journal} has not reached {chunks} chunks")


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
    assert last.endswith("continue with --resume")
    assert psutil.wait_procs(children, timeout=20)[1] == [], "orphans"
    resumed = start_run(tmp_path, if_exists="resume")
    assert resumed.objects < SIZE
    assert result_bytes(tmp_path, resumed.sums) == undisturbed


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


def test_chunk_that_always_kills_its_worker_is_quarantined(tmp_path, undisturbed, cluster):
    (tmp_path / "attempts").mkdir()
    config = {"attempts": str(tmp_path / "attempts"), "plan": {"16": ["kill"]}}
    result = start_run(tmp_path, config, client=cluster)
    (fault,) = result.quarantined
    assert (fault.chunk, fault.start, fault.stop) == (4, 16, 20)
    assert "worker died" in fault.reason
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
        start_run(tmp_path, if_exists="resume", fingerprint="other")


def test_misaligned_run(tmp_path):
    with pytest.raises(InputError, match="does not cover whole chunks"):
        start_run(tmp_path, chunk=CHUNK + 1)
