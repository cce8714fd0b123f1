"""How runs end that somebody or something stops: one line that helps, whatever comes in between."""

import os
import signal
import time
from pathlib import Path

import dask
import distributed
import pytest
from command_line import call
from faults import SIZE, start_run

from lensdask.cli.root import unmeasured
from lensdask.compute import Journal, start_cluster, status
from lensdask.compute.clusters import _OwningClient
from lensdask.compute.runs.window import Window
from lensdask.errors import InputError
from lensdask.shear.tasks import MeasureBias

BIAS = ("shear", "bias", "run", "--galaxies", 98, "--estimator", "fpfs", "--bootstrap", 20)
THREADS = ("--cluster", "threads", "--workers", 1)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def signalled(monkeypatch, number: int) -> None:
    """Have this process signalled while the chunk with galaxy 20 is computed."""
    healthy = MeasureBias.__call__

    def poisoned(self, start, stop, device):
        if start <= 20 < stop:
            os.kill(os.getpid(), number)
            time.sleep(0.3)
        return healthy(self, start, stop, device)

    monkeypatch.setattr(MeasureBias, "__call__", poisoned)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_says_how_to_continue(monkeypatch, capfd, number, code):
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        signalled(patch, number)
        assert call(patch, *BIAS, *THREADS) == code
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith("lensdask: bias fpfs: interrupted with ")
    assert line.endswith(" chunks done; continue with --resume")
    assert signal.getsignal(signal.SIGTERM) is before
    assert status("run").left > 0
    assert call(monkeypatch, *BIAS, *THREADS, "--resume") == 0


@pytest.mark.usefixtures("here")
def test_a_second_interrupt_keeps_the_advice(monkeypatch, capfd):
    healthy = _OwningClient.__exit__

    def impatient(self, *error):
        healthy(self, *error)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        signalled(patch, signal.SIGINT)
        # While the cluster is closed, after the first one was told of.
        patch.setattr(_OwningClient, "__exit__", impatient)
        assert call(patch, *BIAS, *THREADS) == 130
    assert capfd.readouterr().err.splitlines()[-1].endswith("continue with --resume")


def test_an_interrupt_ends_workers_without_waiting_for_their_chunks(monkeypatch):
    """Nobody hears of these any more, and the processes end by themselves, without leaving anything behind."""
    monkeypatch.setattr("lensdask.compute.clusters._END_SECONDS", 100.0)
    ends = []

    def interrupted():
        with start_cluster("local", workers=2) as client:
            for nanny in client.cluster.workers.values():
                nanny.process.on_exit = ends.append
            busy = client.map(time.sleep, [600, 601])
            while len(client.processing()) < 2 or not all(client.processing().values()):
                time.sleep(0.05)
            assert [future.status for future in busy] == ["pending"] * 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    # Not one was killed, as those are that do not end by themselves.
    assert ends == [0, 0]


@pytest.mark.usefixtures("here")
def test_the_second_of_two_new_runs_is_not_told_to_replace_the_first(monkeypatch, capfd):
    with Journal("run/shapes.zarr.journal.jsonl") as first:
        first.begin({"fingerprint": "f", "size": 98, "chunk": 2, "label": "bias fpfs", "unit": "galaxies"})
        assert call(monkeypatch, *BIAS, *THREADS) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert line.endswith("another run is writing here; wait for it to finish or choose another path")


def test_encryption_that_is_required_and_a_scheduler_without():
    with (
        dask.config.set({"distributed.comm.require-encryption": True}),
        pytest.raises(InputError, match=r"require-encryption\) allows no unencrypted connection; use tls://"),
    ):
        start_cluster("tcp://127.0.0.1:1")


def test_workers_that_die_of_memory_are_told_of(tmp_path, cluster, capfd):
    """Dask's nannies tell the scheduler when they kill a worker for its memory."""
    healthy, told = Window.wait, []

    def wait(self):
        if not told:
            told.append(True)
            for _ in range(5):
                cluster.log_event("worker-restart-memory", {"worker": "tcp://127.0.0.1:1", "pid": 1, "rss": 2**30})
            time.sleep(0.3)
        return healthy(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Window, "wait", wait)
        assert start_run(tmp_path, client=cluster, show_progress=True).objects == SIZE
    lines = capfd.readouterr().err.splitlines()
    line = "worker tcp://127.0.0.1:1 had filled its memory (1.07 GB) and was started again; "
    assert lines[:-1] == [line + "give workers more, or take fewer"] * 3


def test_nothing_is_asked_of_the_scheduler_where_nothing_is_stranded(tmp_path, cluster, monkeypatch):
    asked = []
    monkeypatch.setattr("lensdask.compute.runs.window._RECOUNT_SECONDS", 0.0)
    cancel = distributed.Client.cancel

    def counted(self, futures, **options):
        asked.append(len(futures))
        return cancel(self, futures, **options)

    monkeypatch.setattr(distributed.Client, "cancel", counted)
    start_run(tmp_path, client=cluster)
    assert asked == []


def test_results_without_a_number():
    rows = [
        {"quantity": "m1", "measured": None},
        {"quantity": "m2", "measured": 0.1},
        {"quantity": "power", "series": "wiener", "x": 1.0, "measured": None},
        {"quantity": "power", "series": "wiener", "x": 2.0, "measured": 0.5},
        {"quantity": "power", "series": "ks93", "x": 1.0, "measured": None},
    ]
    assert unmeasured(rows) == ["m1", "curves of ks93"]


@pytest.mark.usefixtures("here")
def test_results_that_are_not_finite_are_no_success(monkeypatch, capfd):
    healthy = MeasureBias.__call__

    def broken(self, start, stop, device):
        table, sums = healthy(self, start, stop, device)
        if start <= 20 < stop:
            table["e1"][20 - start] = float("nan")
            # But for the numbers of galaxies.
            sums["shapes"][..., 2:] = float("nan")
        return table, sums

    with monkeypatch.context() as patch:
        patch.setattr(MeasureBias, "__call__", broken)
        assert call(patch, *BIAS, *THREADS) == 1
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith("lensdask: results that are not finite: m1, ")
    assert Path("run/result.json").exists()
