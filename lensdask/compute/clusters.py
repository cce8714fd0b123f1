"""Start a cluster on this machine, or connect to one.

Whoever reaches the port of a Dask scheduler can run code on the workers. Everything started here
listens on the loopback interface only, and a scheduler elsewhere is reached through TLS unless the
user insists.
"""

import asyncio
import atexit
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import TracebackType
from typing import Any

import dask
import distributed
from dask.system import CPU_COUNT

from lensdask.compute.addresses import is_loopback, knock, scheduler_address
from lensdask.compute.devices import count_cuda_devices
from lensdask.errors import InputError, check_number

__all__ = ["check_workers", "idle_gpus", "quiet_client", "set_up_workers", "settle_device", "start_cluster"]

# Dask's own default lets dashboards listen on every interface, whatever the host; and the workers'
# too, if they are threads that talk without sockets, hence the protocol.
_LOOPBACK = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "protocol": "tcp://"}
_CONNECT_SECONDS = 10

# Dask has workers give freed memory back to the system at once. The feature maps of a network are allocated and freed
# thousands of times a second, and returning them costs 40 % of the run.
_KEEP_MEMORY = {f"distributed.nanny.pre-spawn-environ.MALLOC_{name}_THRESHOLD_": 2**30 for name in ("TRIM", "MMAP")}

# Dask's own default blames a chunk for the fourth worker that dies with it; each death costs a restart and a chunk.
_BLAME_SOON = {"distributed.scheduler.allowed-failures": 1}

# Dask's own defaults look at workers, their memory and their event loops up to a hundred times a second, which takes a
# tenth of two cores from tasks that last seconds.
_WATCH_SELDOM = {
    "distributed.worker.profile.interval": "100ms",
    "distributed.worker.profile.cycle": "10s",
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.admin.tick.interval": "200ms",
}

# A worker that dies is started again by its nanny. Dask looks again 15 s after a death and closes the nanny for good if
# the worker is not there at that moment: because it died once more, or because it takes so long to start.
_NEVER_CLOSE_NANNIES = {"distributed.deploy.lost-worker-timeout": "365 days"}

_END_SECONDS = 2.0
"""How long workers have to end when a run is interrupted, before they are killed."""

_MOST_WORKERS = 4096
"""More threads or processes than the cores of any machine only fill its memory."""

_OF_CORES = ("local", "threads")
"""Clusters started here with a worker or thread for each core."""


class ProcessSetup(distributed.WorkerPlugin):
    """Sets each worker process up; Dask runs it again on a restarted worker.

    Parameters
    ----------
    ignore_interrupt
        Leave Ctrl-C, which a terminal sends to every process started in it, to the client, and end the process without
        a word when that ends it.
    """

    name = "lensdask-process-setup"
    idempotent = True

    def __init__(self, ignore_interrupt: bool) -> None:
        self._ignore_interrupt = ignore_interrupt

    def setup(self, worker: distributed.Worker) -> None:  # noqa: ARG002  Dask's signature
        """Set signals up."""
        if self._ignore_interrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            # Threads that compute meanwhile would abort the process while Python takes itself apart.
            atexit.register(os._exit, 0)


class _OwningClient(distributed.Client):
    """A client that closes the cluster that was started for it."""

    _owned: distributed.LocalCluster | None = None

    def __init__(self, started: distributed.LocalCluster, kind: str) -> None:
        distributed.Client.__init__(self, started)
        self._owned, self.kind = started, kind
        # Dask asks whenever a worker leaves, so this holds as long as the cluster lives.
        self._settings = dask.config.set(_NEVER_CLOSE_NANNIES)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # What a run interrupted is not in its journal, and computed again: nobody shall wait for the end of it.
        if kind is not None and issubclass(kind, KeyboardInterrupt) and self._owned is not None:
            self._owned.sync(self._end_workers, self._owned)
        distributed.Client.__exit__(self, kind, error, traceback)

    @staticmethod
    async def _end_workers(cluster: distributed.LocalCluster) -> None:
        """End the processes of workers without waiting for what they compute."""
        nannies = [one for one in cluster.workers.values() if isinstance(one, distributed.Nanny)]
        for nanny in nannies:
            # It shall not start another one.
            nanny.close_gracefully()
        processes = [nanny.process for nanny in nannies if nanny.process]
        await asyncio.gather(*(one.kill(_END_SECONDS, executor_wait=False) for one in processes))

    def close(self, *args: Any, **kwargs: Any) -> None:
        """Close the client, then its cluster; both once."""
        distributed.Client.close(self, *args, **kwargs)
        # The garbage collector closes clients again. Even a closed cluster takes the lock under which event loops
        # start, so the start of the next cluster would wait for itself.
        owned, self._owned = self._owned, None
        if owned is not None:
            self._settings.__exit__(None, None, None)
            owned.close()


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
    check_workers(workers)
    client: distributed.Client | None = None
    try:
        if cluster in ("local", "threads", "cuda"):
            with _interrupts_held():
                client = _start(cluster, workers)
        else:
            client = _connect(cluster, workers, insecure)
        set_up_workers(client, ignore_interrupt=cluster in ("local", "cuda"))
    except BaseException:
        if client is not None:
            client.close()
        raise
    return client


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold interrupts back until the end of a ``with`` block, from the processes and threads begun in it for good.

    Of a cluster that is cut off while it starts nobody has hold, and Dask, which closes all as Python ends, fails with
    pages of traceback. So does a worker that Ctrl-C in a terminal reaches before it is set up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python has signals in the main thread alone
        return
    held: list[int] = []
    # A handler that is not Python's is None, and cannot be put back.
    before = {n: h for n in (signal.SIGINT, signal.SIGTERM) if callable(h := signal.getsignal(n))}
    # The first process to be started would start it, and unblock signals after it.
    resource_tracker.ensure_running()
    for number in before:
        # Threads that compute, not Python's, may be there that do not block it.
        signal.signal(number, lambda number, _: held.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        signal.raise_signal(held[0])


def check_workers(workers: int | None) -> None:
    """Refuse a number of workers that no machine starts.

    Raises
    ------
    InputError
        It is one.
    """
    if workers is not None:
        check_number("workers", workers, least=1, most=_MOST_WORKERS, whole=True)


def set_up_workers(client: distributed.Client, *, ignore_interrupt: bool = False) -> None:
    """Set the workers of a cluster up, those that come later too; a second time changes nothing.

    Parameters
    ----------
    client
        Of any cluster.
    ignore_interrupt
        As for `ProcessSetup`.

    Raises
    ------
    InputError
        The workers lack lensdask, or have another one.
    """
    try:
        client.register_plugin(ProcessSetup(ignore_interrupt))
    except Exception as error:
        # Whatever a worker without our modules, or with others, makes of it.
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(
            f"the workers of the cluster cannot be set up ({reason}); expected lensdask installed there, of one version"
        ) from error


@contextmanager
def quiet_client() -> Iterator[None]:
    """Keep Dask's client from logging: a run tells of a lost scheduler in a line, not in a page of traceback.

    The page may come last, when the client is closed that still tries to reach the scheduler.
    """
    logger = logging.getLogger("distributed.client")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def settle_device(device: str, client: distributed.Client | None) -> str:
    """Return the device for the chunks of a run: with a process for each core, "auto" is not one GPU for them all.

    Parameters
    ----------
    device
        "auto", "cpu" or "cuda".
    client
        The cluster, None for this process.
    """
    of_cores = isinstance(client, _OwningClient) and client.kind in _OF_CORES
    return "cpu" if of_cores and device == "auto" else device


def idle_gpus(device: str, cluster: object) -> int:
    """Return the number of GPUs that a cluster to be started by name leaves idle, as `settle_device` has it."""
    return count_cuda_devices() if device == "auto" and cluster in _OF_CORES else 0


def _start(kind: str, workers: int | None) -> distributed.Client:
    # Runs report what happens to workers; at shutdown Dask also logs connections it closes itself.
    # A configuration that requires encryption is meant for several machines; this is loopback.
    security = distributed.Security(require_encryption=False)
    options: dict[str, Any] = {**_LOOPBACK, "security": security, "silence_logs": logging.CRITICAL}
    with dask.config.set(_KEEP_MEMORY | _BLAME_SOON | _WATCH_SELDOM):
        if kind == "cuda":
            started = _start_cuda(options, workers)
        elif kind == "local":
            started = distributed.LocalCluster(n_workers=workers or CPU_COUNT, threads_per_worker=1, **options)
        else:
            threads = workers or CPU_COUNT
            started = distributed.LocalCluster(n_workers=1, threads_per_worker=threads, processes=False, **options)
    return _OwningClient(started, kind)


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


def _connect(cluster: str, workers: int | None, insecure: bool) -> distributed.Client:
    address = scheduler_address(cluster)
    if workers is not None:
        raise InputError(f"workers applies to clusters that lensdask starts; {cluster} has its own")
    if address.startswith("tcp:") and not is_loopback(address) and not insecure:
        raise InputError(f"cluster {address} is another machine without encryption; use tls://… or insecure=True")
    if address.startswith("tcp:") and dask.config.get("distributed.comm.require-encryption"):
        raise InputError(
            f"cluster {address}: Dask's configuration (distributed.comm.require-encryption) allows no unencrypted "
            "connection; use tls://…, or unset DASK_CONFIG"
        )
    try:
        knock(address, _CONNECT_SECONDS)
        # A client that fails to connect would stay Dask's default scheduler for the whole process.
        distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False).close()
        return distributed.Client(address, timeout=_CONNECT_SECONDS)
    except InputError:
        raise
    except (OSError, TypeError, ValueError, RuntimeError) as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cluster {cluster}: no scheduler at {address}: {detail}") from error
