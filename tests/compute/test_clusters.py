"""Clusters listen on loopback, leave no orphans, and refuse in one line what is out of reach."""

import importlib
import json
import logging
import os
import signal
import time
from dataclasses import dataclass

import dask
import distributed
import numpy as np
import psutil
import pytest

from lensdask.compute import (
    Chunks,
    Task,
    choose_device,
    cluster_of,
    describe_device,
    idle_gpus,
    run,
    set_up_workers,
    start_cluster,
)
from lensdask.compute.clusters import ProcessSetup, settle_device
from lensdask.errors import InputError
from lensdask.shear import RunOptions


def listeners(process: psutil.Process) -> set[str]:
    connections = process.net_connections(kind="inet")
    return {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}


def test_local_listens_on_loopback_only_and_leaves_no_orphans():
    with start_cluster("local", workers=2) as client:
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        assert set().union(*map(listeners, processes)) == {"127.0.0.1"}
        assert client.dashboard_link.startswith("http://127.0.0.1:")
        assert sorted(client.nthreads().values()) == [1, 1]
        pid = client.submit(os.getpid).result()
        assert pid != os.getpid()
    assert not any(p.is_running() and p.pid == pid for p in processes)
    assert client.cluster.status.name == "closed"
    assert dask.config.get("scheduler", None) is None


def test_a_nanny_is_kept_however_long_its_worker_takes_to_start_again():
    # A millisecond after a worker has died, Dask finds that it is not back, and would close its nanny.
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"}):
        with start_cluster("local", workers=1) as client:
            before = client.submit(os.getpid).result()
            os.kill(before, signal.SIGKILL)
            while client.cluster.scheduler.workers:
                time.sleep(0.001)
            time.sleep(0.1)
            assert 0 in client.cluster.workers
            assert client.submit(os.getpid, pure=False).result(timeout=60) != before
        assert dask.config.get("distributed.deploy.lost-worker-timeout") == "1ms"


def test_threads_stay_in_this_process():
    with start_cluster("threads", workers=2) as client:
        assert listeners(psutil.Process()) == {"127.0.0.1"}
        assert client.submit(os.getpid).result() == os.getpid()


def test_garbage_collection_leaves_a_closed_cluster_alone(monkeypatch):
    with start_cluster("threads", workers=1) as client:
        owned = client.cluster

    def close_again():
        raise AssertionError("this takes a lock, which the start of another cluster may hold")

    monkeypatch.setattr(owned, "close", close_again)
    client.__del__()


def seconds_between_looks():
    settings = ("worker.profile.interval", "worker.memory.monitor-interval", "admin.system-monitor.interval")
    return [dask.utils.parse_timedelta(dask.config.get(f"distributed.{name}")) for name in settings]


def test_workers_are_watched_seldom_and_keep_freed_memory():
    by_default = seconds_between_looks()
    with start_cluster("local", workers=1) as client:
        assert all(np.array(client.submit(seconds_between_looks).result()) > by_default)
        assert client.submit(os.environ.get, "MALLOC_TRIM_THRESHOLD_").result() == str(2**30)
    assert seconds_between_looks() == by_default


def test_connect_by_address_and_by_scheduler_file(tmp_path):
    with start_cluster("local", workers=1) as owner:
        address = owner.scheduler.address
        file = tmp_path / "scheduler.json"
        file.write_text(json.dumps({"address": address}))
        for name in (address, str(file)):
            with start_cluster(name) as client:
                assert client.submit(os.getpid).result() != os.getpid()
        # A client that only connected has not closed the cluster.
        assert owner.submit(os.getpid).result() != os.getpid()


def test_workers_of_a_cluster_of_others():
    with pytest.raises(InputError, match="has its own"):
        start_cluster("tcp://127.0.0.1:1", workers=2)


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ("tcp://127.0.0.1:1", "no scheduler at tcp://127.0.0.1:1"),
        ("tls://127.0.0.1:1", "has no certificates"),
        ("tcp://10.1.2.3:8786", "without encryption; use tls://… or insecure=True"),
        ("tcp://login.example.org:8786", "without encryption"),
        ("http://127.0.0.1:8786", "expected an address"),
        ("slurm", "no such scheduler file; expected local, threads"),
    ],
)
def test_unreachable_cluster(monkeypatch, cluster, message):
    monkeypatch.setattr("lensdask.compute.clusters._CONNECT_SECONDS", 1)
    with pytest.raises(InputError, match=message) as caught:
        start_cluster(cluster)
    assert "\n" not in str(caught.value)
    assert dask.config.get("scheduler", None) is None


def test_insecure_is_tried(monkeypatch):
    def refused(*_args, **_kwargs):
        raise OSError("nobody answers")

    monkeypatch.setattr("lensdask.compute.addresses.socket.create_connection", refused)
    with pytest.raises(InputError, match="no scheduler at"):
        start_cluster("tcp://192.0.2.1:8786", insecure=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"address": "tcp://127.0.0.1:1"}', "no scheduler at tcp://127.0.0.1:1"),
        ('{"address": "tcp://10.1.2.3:8786"}', "without encryption"),
        ("{}", "is not a scheduler file"),
        ("text", r"is not JSON .*; expected local, .* or the path of a scheduler file"),
        ("[" * 100_000, "is not JSON .brackets nested too deeply"),
    ],
)
def test_bad_scheduler_file(monkeypatch, tmp_path, content, message):
    monkeypatch.setattr("lensdask.compute.clusters._CONNECT_SECONDS", 1)
    file = tmp_path / "scheduler.json"
    file.write_text(content)
    with pytest.raises(InputError, match=message):
        start_cluster(str(file))


def test_workers_must_be_positive():
    with pytest.raises(InputError, match="workers: 0; expected"):
        start_cluster("local", workers=0)


def test_cuda_cluster_without_dask_cuda(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dask_cuda", None)
    with pytest.raises(InputError, match=r"pip install 'lensdask\[gpu\]'"):
        start_cluster("cuda")


@pytest.mark.parametrize("kind", ["threads", "local"])
def test_a_cluster_whose_workers_cannot_be_set_up_is_closed(monkeypatch, kind):
    clusters = []

    def no_such_module(client, *_args, **_kwargs):
        clusters.append(client.cluster)
        raise ModuleNotFoundError("No module named 'lensdask'\nand a traceback")

    monkeypatch.setattr(distributed.Client, "register_plugin", no_such_module)
    with pytest.raises(
        InputError, match=r"cannot be set up \(ModuleNotFoundError: No module named 'lensdask'\)"
    ) as error:
        start_cluster(kind, workers=1)
    assert "\n" not in str(error.value)
    assert "expected lensdask installed there" in str(error.value)
    assert [cluster.status.name for cluster in clusters] == ["closed"]
    assert dask.config.get("scheduler", None) is None


def test_the_log_of_a_client_is_quiet_during_runs_only(monkeypatch):
    logger = logging.getLogger("distributed.client")
    before = logger.level
    with start_cluster("threads", workers=1):
        assert logger.level == before
    closed, close = [], distributed.Client.close

    def told(client, *arguments, **options):
        closed.append(logger.isEnabledFor(logging.ERROR))
        close(client, *arguments, **options)

    # One that is closed still tries to reach a scheduler that was lost.
    monkeypatch.setattr(distributed.Client, "close", told)
    with cluster_of(RunOptions(cluster="threads", workers=1)):
        assert not logger.isEnabledFor(logging.ERROR)
    assert closed[0] is False
    assert logger.level == before


@dataclass(frozen=True)
class DeviceOfChunk(Task):
    def __call__(self, start, stop, device):  # noqa: ARG002  the signature of tasks
        return None, {"cuda": np.array(device == "cuda")}


@pytest.mark.parametrize(("device", "expected"), [("auto", False), ("cuda", True)])
def test_a_cluster_of_cores_leaves_gpus_alone_unless_told(tmp_path, monkeypatch, capfd, device, expected):
    for module in ("clusters", "devices"):
        monkeypatch.setattr(f"lensdask.compute.{module}.count_cuda_devices", lambda: 4)
    monkeypatch.setattr(importlib.import_module("lensdask.compute.runs.engine"), "describe_device", str)
    options = RunOptions(cluster="threads", workers=1, device=device)
    result = run(DeviceOfChunk(), Chunks(2, 1), tmp_path / "a", options, label="where")
    assert [bool(sums["cuda"]) for sums in result.sums] == [expected] * 2
    lines = capfd.readouterr().err.splitlines()
    assert lines[:-1] == ["4 GPUs are idle; the cluster cuda uses them"] * (device == "auto")


def test_a_client_of_cores_leaves_gpus_alone():
    """As for the runs of a reproduced figure, which share a client."""
    with start_cluster("threads", workers=1) as client:
        assert settle_device("auto", client) == "cpu"
        assert settle_device("cuda", client) == "cuda"
        with distributed.Client(client.scheduler.address, set_as_default=False) as other:
            # Of a cluster elsewhere nobody knows.
            assert settle_device("auto", other) == "auto"
    assert settle_device("auto", None) == "auto"
    assert idle_gpus("auto", "cuda") == idle_gpus("cpu", "local") == 0


def test_devices(monkeypatch):
    monkeypatch.setattr("lensdask.compute.devices.count_cuda_devices", lambda: 0)
    assert choose_device("auto") == choose_device("cpu") == "cpu"
    with pytest.raises(InputError, match="no CUDA device"):
        choose_device("cuda")
    with pytest.raises(InputError, match="expected auto, cpu or cuda"):
        choose_device("tpu")
    monkeypatch.setattr("lensdask.compute.devices.count_cuda_devices", lambda: 1)
    assert choose_device("auto") == choose_device("cuda") == "cuda"
    assert describe_device("cpu")


def test_workers_of_any_client_are_set_up_once():
    options = {"n_workers": 1, "processes": False, "dashboard_address": None, "host": "127.0.0.1", "protocol": "tcp://"}
    with distributed.LocalCluster(**options) as own, distributed.Client(own) as client:
        for _ in range(2):
            set_up_workers(client)
        (names,) = client.run(lambda dask_worker: list(dask_worker.plugins)).values()
        assert names.count(ProcessSetup.name) == 1
