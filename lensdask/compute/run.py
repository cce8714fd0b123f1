"""Run a pure function over all chunks of a dataset: resumable, and the same bits everywhere.

A task computes one chunk, writes its rows to the store and returns its sums. The client journals
the sums. A chunk that is computed twice, by a retry or after a crash, writes the same bytes again.
"""

import importlib.metadata
import platform
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import distributed
import numpy as np

from lensdask.compute.devices import choose_device, describe_device, torch_settings
from lensdask.compute.executors import Direct, Executor, Window
from lensdask.compute.journal import Journal, Sums
from lensdask.compute.progress import Progress
from lensdask.data import remove, require_store, sweep_partial, write_chunk
from lensdask.errors import InputError

__all__ = [
    "ChunkFunction",
    "Quarantine",
    "RunResult",
    "Sums",
    "Table",
    "refuse_existing",
    "run",
    "run_record",
]

Table = dict[str, np.ndarray]
"""Rows of one chunk: every chunked variable of the store, by name."""

ChunkFunction = Callable[[int, int, Mapping[str, Any], str], tuple[Table | None, Sums | None]]
"""Called as ``function(start, stop, config, device)``; start and stop are positions along the unit
dimension, device is "cpu" or "cuda". A pure function at module level: workers import it, and its
results depend on its arguments alone."""

IfExists = Literal["refuse", "resume", "overwrite"]

_RECORDED = ("lensdask", "torch", "dask", "distributed", "numpy", "galsim", "zarr", "xarray")


@dataclass(frozen=True)
class Quarantine:
    """A chunk that was given up, with the reason."""

    chunk: int
    start: int
    stop: int
    reason: str


@dataclass(frozen=True)
class RunResult:
    """What a run has done.

    Parameters
    ----------
    sums
        Sums of each chunk in order, None where it returned none or was given up.
    quarantined
        Chunks that were given up; they are tried again when the run is resumed.
    retries
        Attempts that failed and were repeated.
    wall_s
        Seconds this call took.
    objects
        Objects computed in this call, without those of an earlier one.
    device
        Name of the processor that computed.
    """

    sums: list[Sums | None]
    quarantined: tuple[Quarantine, ...]
    retries: int
    wall_s: float
    objects: int
    device: str


@dataclass(frozen=True)
class _Job:
    """What a task needs; it travels with each."""

    function: ChunkFunction
    config: Mapping[str, Any]
    size: int
    chunk: int
    device: str
    store: Path | None

    def __post_init__(self) -> None:
        if self.size < 1 or self.chunk < 1:
            raise InputError(f"run over {self.size} objects in chunks of {self.chunk}; expected at least 1")

    @property
    def chunks(self) -> int:
        return -(-self.size // self.chunk)

    def bounds(self, number: int) -> tuple[int, int]:
        start = number * self.chunk
        return start, min(start + self.chunk, self.size)

    def length(self, number: int) -> int:
        start, stop = self.bounds(number)
        return stop - start

    def __call__(self, number: int) -> Sums | None:
        start, stop = self.bounds(number)
        table, sums = self.function(start, stop, self.config, choose_device(self.device))
        if self.store is not None:
            if table is None:
                raise InputError(f"{self.store}: the chunk function returned no rows to write")
            write_chunk(self.store, start, table)
        return sums and {name: np.asarray(v, dtype=np.float64) for name, v in sums.items()}


@dataclass(frozen=True)
class _Event:
    """What happened to a chunk."""

    kind: Literal["finished", "retried", "given up"]
    chunk: int
    sums: Sums | None = None
    reason: str = ""


def run(
    function: ChunkFunction,
    config: Mapping[str, Any],
    *,
    size: int,
    chunk: int,
    journal: Path,
    fingerprint: str,
    store: Path | None = None,
    create: Callable[[], None] | None = None,
    client: distributed.Client | None = None,
    device: str = "auto",
    if_exists: IfExists = "refuse",
    label: str = "",
    unit: str = "galaxies",
    attempts: int = 3,
    show_progress: bool = True,
) -> RunResult:
    """Call `function` on every chunk of ``range(size)``.

    Parameters
    ----------
    function, config
        What to compute. The configuration travels with every task: paths, not arrays.
    size, chunk
        Number of objects, and how many of them make a chunk.
    journal
        File of the journal; see `journal_path` for where it belongs.
    fingerprint
        Of all that decides the result; a journal with another one is refused.
    store
        Where the rows go, None to keep sums only.
    create
        Writes the template of the store; called if the store is not there.
    client
        The cluster, None to compute in this process.
    device
        "auto", "cpu" or "cuda", settled where the chunks are computed.
    if_exists
        What to do about an earlier run in the same place: "refuse", "resume" it, or "overwrite" it.
    label, unit
        Name of the run and of its objects, for people.
    attempts
        How often to try a chunk that raises. One that kills its worker is given up sooner.
    show_progress
        Show a bar, or one line at the end if not in a terminal.

    Raises
    ------
    InputError
        The place is taken, in use or of another configuration; or a chunk raised it.
    KeyboardInterrupt
        With a message on how to continue; what was done is in the journal.
    """
    began = time.perf_counter()
    job = _Job(function, config, size, chunk, device, store)
    label = label or getattr(function, "__name__", "run")
    refuse_existing(journal, store, if_exists)
    with Journal(journal) as book:
        _prepare(book, job, fingerprint, create, if_exists)
        todo = [n for n in range(job.chunks) if n not in book.done]
        dashboard = client.dashboard_link if client else None
        try:
            with (
                Progress(label, unit, job.chunks, len(book.done), dashboard, show_progress) as progress,
                _executor(job, client, label) as (executor, processor),
            ):
                events = [_record(event, job, book, progress) for event in _events(executor, todo, attempts)]
        except InputError:
            if if_exists != "resume":
                _discard(book, store)
            raise
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{label}: interrupted with {len(book.done)} of {job.chunks} chunks done; continue with --resume"
            ) from None
    return RunResult(
        sums=[book.done.get(n) for n in range(job.chunks)],
        quarantined=tuple(
            Quarantine(event.chunk, *job.bounds(event.chunk), event.reason)
            for event in sorted(events, key=lambda event: event.chunk)
            if event.kind == "given up"
        ),
        retries=sum(event.kind == "retried" for event in events),
        wall_s=time.perf_counter() - began,
        objects=sum(job.length(event.chunk) for event in events if event.kind == "finished"),
        device=processor,
    )


def run_record(device: str, wall_s: float, objects: int) -> dict[str, Any]:
    """Return the entry "run" of a result file.

    Parameters
    ----------
    device
        Name of the processor.
    wall_s
        Seconds the run took.
    objects
        Objects computed in that time.
    """
    versions = {"python": platform.python_version()}
    installed = {d.name.lower() for d in importlib.metadata.distributions()}
    for name in _RECORDED:
        if name in installed:
            versions[name] = importlib.metadata.version(name)
    return {
        "versions": versions,
        "date": datetime.now(UTC).date().isoformat(),
        "device": device,
        "wall_s": wall_s,
        "objects": objects,
        "objects_per_s": objects / wall_s if wall_s > 0 else 0.0,
    }


def refuse_existing(journal: Path, store: Path | None, if_exists: IfExists) -> None:
    """Refuse a place that is taken, unless it is to be resumed or overwritten.

    Raises
    ------
    InputError
        There is a journal or a store; or what would be overwritten is no store of lensdask.
    """
    if if_exists == "overwrite" and store is not None and store.exists():
        require_store(store)
    started = journal.exists() and journal.stat().st_size > 0
    if if_exists == "refuse" and (started or (store is not None and store.exists())):
        raise InputError(
            f"{journal if started else store} is of an earlier run; "
            "continue it with --resume or replace it with --overwrite"
        )


def _prepare(
    book: Journal,
    job: _Job,
    fingerprint: str,
    create: Callable[[], None] | None,
    if_exists: IfExists,
) -> None:
    """Bring journal and store into agreement, ready for the chunks that are left."""
    store = job.store
    if if_exists == "overwrite":
        if store is not None and store.exists():
            remove(store)
        book.clear()
    # Again, now that no other run can come in between.
    refuse_existing(book.path, store, if_exists)
    if book.empty and store is not None and store.exists():
        raise InputError(f"{store} has no journal to resume from; replace it with --overwrite")
    book.begin({"fingerprint": fingerprint, "size": job.size, "chunk": job.chunk})
    if store is None:
        return
    sweep_partial(store)
    if not store.exists():
        if book.done:
            raise InputError(f"{store} is gone, but its journal is not; start with --overwrite")
        if create is not None:
            create()


def _discard(book: Journal, store: Path | None) -> None:
    """Leave nothing half-written behind a run whose input was refused on the way."""
    if store is not None and store.exists():
        remove(store)
    book.path.unlink()


@contextmanager
def _executor(job: _Job, client: distributed.Client | None, label: str) -> Iterator[tuple[Executor, str]]:
    """Give the executor and the name of its processor; nothing is left in flight afterwards."""
    if client is None:
        with torch_settings():
            yield Direct(job), _describe(job.device)
        return
    window = Window(client, job, label.replace(" ", "_"))
    try:
        yield window, client.submit(_describe, job.device, pure=False).result()
    finally:
        window.cancel()


def _describe(device: str) -> str:
    return describe_device(choose_device(device))


def _events(executor: Executor, todo: Iterable[int], attempts: int) -> Iterator[_Event]:
    """Compute the chunks `todo`; every one ends as finished or given up."""
    queue, suspects = deque(todo), deque[int]()
    alone: set[int] = set()
    failures: Counter[int] = Counter()
    while queue or suspects or executor.pending:
        if not queue and not executor.pending:
            alone.add(suspects[0])
            queue.append(suspects.popleft())
        while queue and executor.room:
            executor.submit(queue.popleft())
        chunk, sums, error = executor.wait()
        failures[chunk] += error is not None
        if error is None:
            yield _Event("finished", chunk, sums)
        elif isinstance(error, InputError):
            # Nobody may write any more when the caller clears up.
            while executor.pending:
                executor.wait()
            raise error
        elif isinstance(error, distributed.KilledWorker) and chunk not in alone:
            # Dask also blames chunks that only waited on the worker which another one killed. By
            # itself, at the end, an innocent one finishes.
            suspects.append(chunk)
        elif isinstance(error, distributed.KilledWorker) or failures[chunk] >= attempts:
            yield _Event("given up", chunk, reason=_one_line(error))
        else:
            queue.appendleft(chunk)
            yield _Event("retried", chunk)


def _one_line(error: BaseException) -> str:
    if isinstance(error, distributed.KilledWorker):
        return "its worker died at every attempt, often for lack of memory"
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _record(event: _Event, job: _Job, book: Journal, progress: Progress) -> _Event:
    if event.kind == "finished":
        book.append(event.chunk, event.sums)
        progress.finished(job.length(event.chunk))
    elif event.kind == "retried":
        progress.retried()
    else:
        progress.quarantined()
    return event
