"""A worker that fails whatever it is given does not eat the run: its chunks go elsewhere, and it is restarted."""

import os
import signal
import threading
from contextlib import nullcontext

import distributed
import psutil
import pytest
from faults import SIZE, result_bytes, start_run

from lensdask.compute import start_cluster
from lensdask.compute.runs.window import Window
from lensdask.errors import InputError


def sick(folder, error="runtime", until="restart"):
    # Healthy chunks take their time, as on a cluster; sick ones fail at once.
    return {"sick": str(folder / "sick"), "error": error, "until": until, "sleep": 0.05}


@pytest.mark.parametrize("error", ["runtime", "input"])
def test_it_is_restarted_and_nothing_is_given_up(tmp_path, undisturbed, capfd, cluster, error):
    result = start_run(tmp_path, sick(tmp_path, error), client=cluster, show_progress=True)
    assert (result.quarantined, result.objects) == ((), SIZE)
    assert result.retries >= 3
    assert result_bytes(tmp_path, result.sums) == undisturbed
    assert not psutil.pid_exists(int((tmp_path / "sick").read_text()))
    printed = capfd.readouterr().err
    assert printed.count("was restarted: 3 chunks in a row failed on it") == 1
    assert "given up" not in printed


def test_it_stays_sick(tmp_path, undisturbed, cluster):
    """A GPU off the bus outlives the process."""
    result = start_run(tmp_path, sick(tmp_path, until="ever"), client=cluster)
    assert (result.quarantined, result.objects) == ((), SIZE)
    assert result_bytes(tmp_path, result.sums) == undisturbed


def test_after_its_restart_it_is_avoided_at_its_new_address(cluster):
    window = Window(cluster, str, "name", say=lambda _: None)
    (sick_one, other), seen = sorted(cluster.nthreads()), set(cluster.nthreads())
    window._failed_on[7] = sick_one
    assert window._restart(sick_one)
    (again,) = set(cluster.nthreads()) - seen
    window._recount()
    window.submit(7)
    (flight,) = window._flights.values()
    assert flight.allowed == {other}
    assert window._failed_on[7] == again
    assert window.wait().sums == "7"


def test_alone_it_is_restarted(tmp_path, undisturbed):
    with start_cluster("local", workers=1) as client:
        result = start_run(tmp_path, sick(tmp_path), client=client)
    assert result.quarantined == ()
    # One more may have failed before the restart.
    assert result.retries in (3, 4)
    assert result_bytes(tmp_path, result.sums) == undisturbed


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_die_of_the_first_question(monkeypatch):
    # On a cluster of its own: a worker that is killed while it starts again may stay away, and never answer.
    monkeypatch.setattr("lensdask.compute.runs.window._ANSWER_SECONDS", 5)
    with start_cluster("local", workers=2) as client:
        window = Window(client, die, "name", say=lambda _: None)
        with pytest.raises(
            ConnectionError, match='workers died before they computed anything; continue with if_exists="resume"'
        ):
            window.ask(die)


@pytest.mark.parametrize("where", ["direct", "threads"])
def test_the_input_is_at_fault(tmp_path, where):
    """What fails at every attempt, everywhere, stops the run before the other chunks are tried."""
    attempts = tmp_path / "attempts"
    attempts.mkdir()
    config = {"attempts": str(attempts), "plan": {str(start): ["input"] for start in range(40, SIZE, 4)}}
    with (
        nullcontext() if where == "direct" else start_cluster(where, workers=1) as client,
        pytest.raises(InputError, match="10 of 24 chunks done and kept"),
    ):
        start_run(tmp_path, config, client=client)
    assert len(list(attempts.iterdir())) <= 10 + 3 * 3


def name_of_worker(chunk):
    """Return where a chunk is computed; where it must not be, wait for the end of the test."""
    worker = distributed.get_worker()
    if chunk == 1 and worker.address == FORBIDDEN["address"]:
        FORBIDDEN["end"].wait(20)
    return {"worker": worker.address}


FORBIDDEN = {"address": "", "end": threading.Event()}


def test_a_chunk_whose_only_worker_left_goes_back_to_where_it_failed():
    options = {"processes": False, "host": "127.0.0.1", "protocol": "tcp://", "dashboard_address": "127.0.0.1:0"}
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options) as owned,
        distributed.Client(owned, set_as_default=False) as client,
    ):
        client.wait_for_workers(2)
        window = Window(client, name_of_worker, "name", say=lambda _: None)
        assert window.room
        first, second = sorted(client.nthreads())
        window._failed_on = {0: first, 1: first}
        window.submit(0)
        assert window.wait().sums == {"worker": second}
        FORBIDDEN["address"] = second
        window.submit(1)
        owned.sync(owned.scheduler.remove_worker, address=second, stimulus_id="test")
        assert window.wait().sums == {"worker": first}
        assert window.pending == 0
        FORBIDDEN["end"].set()
