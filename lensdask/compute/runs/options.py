"""How runs are carried out: on which cluster and device, resumed or anew, watched or not."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import distributed

from lensdask.compute.clusters import check_workers, idle_gpus, quiet_client, set_up_workers, start_cluster
from lensdask.compute.devices import DEVICE_NAMES
from lensdask.compute.report import check_report, performance_reported
from lensdask.compute.runs.output import IfExists
from lensdask.errors import InputError, check_choice, check_number

__all__ = ["RunOptions", "cluster_of"]


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out; none of this changes its result."""

    cluster: str | distributed.Client | None = None
    """Cluster as in `lensdask.start_cluster`, or a client of one; this process when none."""
    workers: int | None = None
    """Workers of a local cluster; when none one per core, or one per GPU of the cluster "cuda"."""
    insecure: bool = False
    """Whether to talk to another machine unencrypted."""
    device: str = "auto"
    """"auto", "cpu" or "cuda". The two differ by rounding: a run that is resumed on the other is right, but not what
    either of them alone would give to the bit. The clusters "local" and "threads" take "auto" for the CPU."""
    if_exists: IfExists = "refuse"
    """What to do with an output that exists."""
    attempts: int = 3
    """How often to try a chunk that raises. One whose workers die is given up when it was tried by itself: after four
    deaths on a cluster that was started here, else as ``distributed.scheduler.allowed-failures`` says."""
    show_progress: bool = True
    """Whether to draw a progress bar, or print one line at the end if not in a terminal."""
    performance_report: Path | None = None
    """HTML file to write about what the cluster did, with Dask's plots; no report when none."""

    def __post_init__(self) -> None:
        """Refuse what can be refused before a cluster is there."""
        check_choice("device", self.device, DEVICE_NAMES)
        check_choice("if_exists", self.if_exists, get_args(IfExists))
        check_number("attempts", self.attempts, least=1, whole=True)
        check_workers(self.workers)
        if self.performance_report is not None:
            check_report(self.performance_report)
            if self.cluster is None:
                raise InputError(f"performance report {self.performance_report}: no cluster; expected one to report on")

    @property
    def is_here(self) -> bool:
        """Whether the cluster is on this machine, so that its devices are those of this process."""
        return self.cluster in (None, "local", "threads", "cuda")


@contextmanager
def cluster_of(options: RunOptions) -> Iterator[distributed.Client | None]:
    """Give the client of the cluster that the options ask for, started here if by name, and report on it if asked.

    Parameters
    ----------
    options
        How to run.

    Raises
    ------
    InputError
        The cluster cannot be started or reached, or would be reached unencrypted.
    """
    with (
        quiet_client(),
        _client(options) as client,
        performance_reported(client, options.performance_report),
    ):
        yield client


def _client(options: RunOptions) -> AbstractContextManager[distributed.Client | None]:
    if isinstance(options.cluster, str):
        idle = idle_gpus(options.device, options.cluster)
        if idle and options.show_progress:
            print(f"{idle} GPUs are idle; the cluster cuda uses them", file=sys.stderr)
        return start_cluster(options.cluster, workers=options.workers, insecure=options.insecure)
    if options.cluster is not None:
        set_up_workers(options.cluster)
    return nullcontext(options.cluster)
