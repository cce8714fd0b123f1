"""How runs are carried out: where, resumed or anew, with a store or for their sums alone."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import distributed

from lensdask.compute.clusters import idle_gpus, set_up_workers, start_cluster
from lensdask.compute.devices import choose_device
from lensdask.compute.report import check_report, performance_reported
from lensdask.compute.runs.engine import ChunkFunction, IfExists, RunResult, refuse_existing, run
from lensdask.compute.runs.journal import fingerprint, journal_path
from lensdask.data import Schema, create
from lensdask.errors import InputError

__all__ = ["RunOptions", "carry_out", "cluster_of", "write_store"]


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
    show_progress: bool = True
    """Whether to draw a progress bar."""
    performance_report: Path | None = None
    """HTML file to write about what the cluster did, with Dask's plots; no report when none."""

    def __post_init__(self) -> None:
        if self.performance_report is not None:
            check_report(self.performance_report)
            if self.cluster is None:
                raise InputError(f"performance report {self.performance_report}: no cluster; expected one to report on")

    @property
    def is_here(self) -> bool:
        """Whether the cluster is on this machine, so that its devices are those of this process."""
        return self.cluster in (None, "local", "threads", "cuda")


def write_store(
    function: ChunkFunction,
    config: Mapping[str, Any],
    schema: Schema,
    store: Path,
    template: Mapping[str, Any],
    *,
    size: int,
    chunk: int,
    label: str,
    options: RunOptions | None,
    results: tuple[Path, ...] = (),
    unit: str = "galaxies",
) -> RunResult:
    """Call a chunk function on all objects; its rows go to a store, whose journal lies beside it.

    Parameters
    ----------
    function, config, size, chunk, label, unit
        As in `lensdask.compute.run`.
    schema, store, template
        What the store holds, where it lies, and the further arguments of `lensdask.data.create`.
    options
        How to run.
    results
        Files that describe the store; removed when it is made anew.
    """
    # Workers may run in another directory than this process.
    store = store.resolve()

    def make_store() -> None:
        for result in results:
            result.unlink(missing_ok=True)
        create(store, schema, chunk=chunk, **template)

    return carry_out(
        function,
        config,
        journal_path(store),
        size=size,
        chunk=chunk,
        label=label,
        unit=unit,
        options=options,
        schema=schema,
        store=store,
        create=make_store,
    )


def carry_out(
    function: ChunkFunction,
    config: Mapping[str, Any],
    journal: Path,
    *,
    size: int,
    chunk: int,
    label: str,
    options: RunOptions | None,
    unit: str = "galaxies",
    schema: Schema | None = None,
    store: Path | None = None,
    create: Callable[[], None] | None = None,
) -> RunResult:
    """Call a chunk function on all objects, for its sums alone unless there is a store.

    Parameters
    ----------
    function, config, journal, size, chunk, label, unit, store, create
        As in `lensdask.compute.run`.
    options
        How to run.
    schema
        Of the store.
    """
    options = options or RunOptions()
    if options.is_here:
        choose_device(options.device)
    # Before a cluster is started: a mistake in the command should not cost seconds.
    refuse_existing(journal, store, options.if_exists)
    with cluster_of(options) as client:
        return run(
            function,
            config,
            size=size,
            chunk=chunk,
            journal=journal,
            fingerprint=fingerprint(_identity(config), schema),
            store=store,
            create=create,
            client=client,
            device=options.device,
            if_exists=options.if_exists,
            label=label,
            unit=unit,
            show_progress=options.show_progress,
        )


def _identity(config: Any) -> Any:
    """Return a configuration without paths: files are known by their checksums, wherever they lie."""
    if isinstance(config, Mapping):
        # A store is known by its hash, and the name of a network may be its path.
        skipped = {"path"} | {key for key in config if f"{key}_hash" in config}
        skipped |= {"name"} if config.get("sha256") else set()
        return {key: _identity(value) for key, value in config.items() if key not in skipped}
    return [_identity(value) for value in config] if isinstance(config, list | tuple) else config


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
    with _client(options) as client, performance_reported(client, options.performance_report):
        yield client


def _client(options: RunOptions) -> AbstractContextManager[distributed.Client | None]:
    if isinstance(options.cluster, str):
        idle = idle_gpus(options.device, options.cluster)
        if idle and options.show_progress:
            print(f"{idle} GPUs are idle; --cluster cuda uses them", file=sys.stderr)
        return start_cluster(options.cluster, workers=options.workers, insecure=options.insecure)
    if options.cluster is not None:
        set_up_workers(options.cluster)
    return nullcontext(options.cluster)
