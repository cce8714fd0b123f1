"""Start a cluster on this machine, or connect to one.

Whoever reaches the port of a Dask scheduler can run code on the workers. Everything started here
listens on the loopback interface only, and a scheduler elsewhere is reached through TLS unless the
user insists.
"""

import ipaddress
import json
import logging
import os
import signal
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dask
import distributed
from dask.system import CPU_COUNT

from lensdask.compute.devices import torch_settings
from lensdask.errors import InputError

__all__ = ["start_cluster"]

# Dask's own default lets dashboards listen on every interface, whatever the host; and the workers'
# too, if they are threads that talk without sockets, hence the protocol.
_LOOPBACK = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "protocol": "tcp://"}
_CONNECT_SECONDS = 10

# Dask has workers give freed memory back to the system at once. The feature maps of a network are allocated and freed
# thousands of times a second, and returning them costs 40 % of the run.
_KEEP_MEMORY = {f"distributed.nanny.pre-spawn-environ.MALLOC_{name}_THRESHOLD_": 2**30 for name in ("TRIM", "MMAP")}


class ProcessSetup(distributed.WorkerPlugin):
    """Sets each worker process up; Dask runs it again on a restarted worker.

    Parameters
    ----------
    ignore_interrupt
        Leave Ctrl-C, which a terminal sends to every process started in it, to the client.
    """

    name = "lensdask-process-setup"

    def __init__(self, ignore_interrupt: bool) -> None:
        self._ignore_interrupt = ignore_interrupt

    def setup(self, worker: distributed.Worker) -> None:  # noqa: ARG002  Dask's signature
        """Set torch and signals up."""
        if self._ignore_interrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._settings = torch_settings()
        self._settings.__enter__()

    def teardown(self, worker: distributed.Worker) -> None:  # noqa: ARG002  Dask's signature
        """Put torch back, for workers that are threads of the user's own process."""
        self._settings.__exit__(None, None, None)


class _OwningClient(distributed.Client):
    """A client that closes the cluster that was started for it."""

    def __init__(self, started: distributed.LocalCluster) -> None:
        distributed.Client.__init__(self, started)
        self._owned = started

    def close(self, *args: Any, **kwargs: Any) -> None:
        """Close the client, then its cluster."""
        distributed.Client.close(self, *args, **kwargs)
        self._owned.close()


def start_cluster(cluster: str = "local", *, workers: int | None = None, insecure: bool = False) -> distributed.Client:
    """Return a client of a Dask cluster, to be used in a ``with`` block.

    Parameters
    ----------
    cluster
        "local" (processes of this machine), "threads" (of this process), "cuda" (one process per
        GPU of this machine), the address ``tcp://…`` or ``tls://…`` of a scheduler, or the path of
        its scheduler file. Certificates for TLS come from Dask's own configuration.
    workers
        Number of workers to start; as many as there are cores or GPUs by default.
    insecure
        Allow an unencrypted connection to another machine.

    Raises
    ------
    InputError
        The cluster cannot be started or reached, or would be reached unencrypted.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}; expected at least 1")
    if cluster in ("local", "threads", "cuda"):
        client = _start(cluster, workers)
    else:
        if workers is not None:
            raise InputError(f"workers is for clusters started here; {cluster} has its own")
        client = _connect(cluster, insecure)
    # A lost scheduler is reported by the run, in one line instead of Dask's page of traceback.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    client.register_plugin(ProcessSetup(ignore_interrupt=cluster in ("local", "cuda")))
    return client


def _start(kind: str, workers: int | None) -> distributed.Client:
    # Runs report what happens to workers; at shutdown Dask also logs connections it closes itself.
    options: dict[str, Any] = {**_LOOPBACK, "silence_logs": logging.CRITICAL}
    if kind == "cuda":
        started = _start_cuda(options, workers)
    elif kind == "local":
        count = workers or CPU_COUNT
        with dask.config.set(_KEEP_MEMORY):
            started = distributed.LocalCluster(n_workers=count, threads_per_worker=1, **options)
    else:
        threads = workers or CPU_COUNT
        started = distributed.LocalCluster(n_workers=1, threads_per_worker=threads, processes=False, **options)
    return _OwningClient(started)


def _start_cuda(options: dict[str, Any], workers: int | None) -> Any:
    try:
        from dask_cuda import LocalCUDACluster
    except ImportError as error:
        raise InputError(f"cluster 'cuda' needs dask-cuda ({error}); pip install 'lensdask[gpu]'") from error
    try:
        return LocalCUDACluster(n_workers=workers, threads_per_worker=1, **options)
    except Exception as error:
        # NVML has a class of error for each failure, and none of them is public.
        raise InputError(f"cluster 'cuda' cannot be started: {type(error).__name__} {error}") from error


def _connect(cluster: str, insecure: bool) -> distributed.Client:
    address = cluster if "://" in cluster else _read_scheduler_file(Path(cluster))
    parts = urlsplit(address)
    if parts.scheme not in ("tcp", "tls"):
        raise InputError(f"cluster {address!r}: expected an address tcp://… or tls://…")
    if parts.scheme == "tcp" and not _is_loopback(parts.hostname or "") and not insecure:
        raise InputError(f"cluster {address} is another machine without encryption; use tls://… or --insecure")
    try:
        # A client that fails to connect leaves its event loop to the garbage collector, which may then hold up the
        # start of the next one. So ask first whether anybody listens.
        socket.create_connection((parts.hostname, parts.port), timeout=_CONNECT_SECONDS).close()
        # A client that fails to connect would stay Dask's default scheduler for the whole process.
        distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False).close()
        return distributed.Client(address, timeout=_CONNECT_SECONDS)
    except (OSError, TypeError, ValueError, RuntimeError) as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cluster {cluster}: no scheduler at {address}: {detail}") from error


def _read_scheduler_file(path: Path) -> str:
    try:
        return str(json.loads(path.read_text())["address"])
    except OSError as error:
        raise InputError(
            f"cluster {os.fspath(path)!r}: no such scheduler file; expected local, threads, cuda, "
            "tcp://…, tls://… or the path of one"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"cluster {os.fspath(path)!r} is not a scheduler file") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
