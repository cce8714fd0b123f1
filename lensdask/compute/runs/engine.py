"""Run a task over all chunks of a dataset: resumable, and the same bits everywhere.

A worker computes one chunk, writes its rows to the store and returns its sums. The client journals
the sums. A chunk that is computed twice, by a retry or after a crash, writes the same bytes again.

Killed processes lose nothing that the journal has for done. A power cut may: the journal is flushed to disk with every
line, but the rows are left to the operating system, which keeps them in memory for up to half a minute or so. After the
crash of a machine that wrote rows, the chunks journalled last may be missing or damaged. A run that is resumed looks
whether the files of its chunks are there and whole in length, and computes those again that are not;
`lensdask.compute.verify` finds the others.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import distributed
import numpy as np

from lensdask.code import Code, code_now
from lensdask.compute.clusters import settle_device
from lensdask.compute.devices import choose_device, describe_device, torch_settings
from lensdask.compute.results import run_record
from lensdask.compute.runs.attempts import Event, attempt_all, is_disk_full
from lensdask.compute.runs.chunks import Chunks, Quarantine
from lensdask.compute.runs.executors import Direct, Executor
from lensdask.compute.runs.journal import AT_WORK, Journal, fingerprint, is_locked
from lensdask.compute.runs.journal_format import Sums
from lensdask.compute.runs.lazy import computing_here
from lensdask.compute.runs.options import RunOptions, cluster_of
from lensdask.compute.runs.output import IfExists, NewStore, refuse_existing
from lensdask.compute.runs.progress import Progress
from lensdask.compute.runs.task import Table, Task
from lensdask.compute.runs.verify import lost_at_a_glance, restore_if_damaged
from lensdask.compute.runs.window import Window
from lensdask.data import remove, sweep_partial, write_chunk
from lensdask.data.files import refuse_devices
from lensdask.errors import InputError
from lensdask.places import local_path

__all__ = ["RunResult", "run"]


_NOT_FINITE = "not_finite"
"""Name among the sums of a chunk; it is there only if there are any such objects."""


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
        Seconds this call worked, from the answer of the first workers on.
    objects
        Objects computed in this call, without those of an earlier one.
    device
        Name of the processor that computed.
    sessions
        Calls that worked on this run, this one included.
    wall_s_of_sessions
        Seconds that all of them took, without the time between them.
    """

    sums: list[Sums | None]
    quarantined: tuple[Quarantine, ...]
    retries: int
    wall_s: float
    objects: int
    device: str
    sessions: int
    wall_s_of_sessions: float

    @property
    def not_finite(self) -> int:
        """Objects of the whole run with a result that is not finite."""
        return sum(int(sums[_NOT_FINITE]) for sums in self.sums if sums and _NOT_FINITE in sums)

    def record(self) -> dict[str, Any]:
        """Return the entry "run" of a result file: this call, and how many sessions there were in what time."""
        sessions = {"sessions": self.sessions, "wall_s_of_sessions": self.wall_s_of_sessions}
        return run_record(self.device, self.wall_s, self.objects) | sessions


@dataclass(frozen=True)
class _Job:
    """What computes a chunk; it travels with each."""

    task: Task
    chunks: Chunks
    device: str
    store: Path | None
    measured: tuple[str, ...]
    code: Code

    def __call__(self, number: int) -> Sums | None:
        # A worker that was started again, or later than the others, may have been so after an edit.
        self.code.require()
        start, stop = self.chunks.bounds(number)
        # Here, in the thread that computes: workers may have several.
        with torch_settings(), computing_here():
            table, sums = self.task(start, stop, choose_device(self.device))
        if self.store is not None:
            if table is None:
                raise InputError(f"{self.store}: the task returned no rows to write")
            write_chunk(self.store, start, table)
            sums = _with_failures(sums, table, self.measured)
        return sums and {name: np.asarray(v, dtype=np.float64) for name, v in sums.items()}


def _with_failures(sums: Sums | None, table: Table, measured: tuple[str, ...]) -> Sums | None:
    """Return the sums of a chunk, and the number of its objects that have a variable without any finite number."""
    failed = np.zeros(len(next(iter(table.values()))), dtype=bool)
    for name in measured:
        failed |= ~np.isfinite(table[name]).reshape(len(failed), -1).any(axis=1)
    return {**(sums or {}), _NOT_FINITE: np.array(failed.sum())} if failed.any() else sums


def run(
    task: Task, chunks: Chunks, output: NewStore | Path, options: RunOptions | None = None, *, label: str
) -> RunResult:
    """Compute all chunks of a task.

    Parameters
    ----------
    task
        What to compute.
    chunks
        How many objects there are, and how they are divided.
    output
        Store for the rows; or the file of a journal, to keep sums only.
    options
        Cluster, device, resumption.
    label
        Name of the run, for people.

    Raises
    ------
    InputError
        The place is taken, in use, or of another configuration or code; workers have other code than this process; or a
        chunk raised it at every attempt.
    ConnectionError
        The scheduler was lost, with a message on how to continue.
    OSError
        The disk is full, with a message on how to continue, for one.
    KeyboardInterrupt
        With a message on how to continue; what was done is in the journal.
    """
    options = options or RunOptions()
    journal, store = (output.journal, output.path) if isinstance(output, NewStore) else (output, None)
    journal = local_path(journal, "the journal of a run")
    # Before a cluster is started: a mistake in the command should not cost seconds.
    if options.is_here:
        choose_device(options.device)
    refuse_devices(journal, "the journal of a run")
    if journal.exists() and is_locked(journal):
        # Whether it was begun a second ago or is resumed: nobody is told to replace what another computes.
        raise InputError(f"{journal}: {AT_WORK}")
    refuse_existing(journal, store, options.if_exists)
    if isinstance(output, NewStore):
        output.require_room(chunks.unit)
    with cluster_of(options) as client:
        code = Code.of(type(task).__module__)
        measured = output.measured if isinstance(output, NewStore) else ()
        job = _Job(task, chunks, settle_device(options.device, client), store, measured, code)
        with Journal(journal) as book, _continuable(book, job, label):
            _prepare(book, job, output, label, options.if_exists)
            if isinstance(output, NewStore) and output.path.exists():
                _mend(book, job, output, options.show_progress)
            return _computed(job, book, output, options, client, label)


def _computed(
    job: _Job,
    book: Journal,
    output: NewStore | Path,
    options: RunOptions,
    client: distributed.Client | None,
    label: str,
) -> RunResult:
    """Compute the chunks that the journal does not have for done."""
    unit, dashboard = job.chunks.unit, client.dashboard_link if client else None
    with (
        _discarding(book, job, options.if_exists),
        Progress(label, unit, job.chunks.count, len(book.done), dashboard, options.show_progress) as progress,
        _executor(job, client, label, progress) as (executor, processor),
    ):
        # Now that a worker has answered: hours in the queue of a machine are no work.
        began = time.perf_counter()
        book.begin_session()
        progress.begin()
        if isinstance(output, NewStore) and not output.path.exists():
            output.create(job.chunks.length, job.task.settings())
        todo = [n for n in range(job.chunks.count) if n not in book.done]
        events = attempt_all(executor, todo, options.attempts, partial(_record, job, book, progress))
    return _result(job, book, events, processor, time.perf_counter() - began)


def _result(job: _Job, book: Journal, events: list[Event], processor: str, wall_s: float) -> RunResult:
    given_up = sorted((event.chunk, event.reason) for event in events if event.kind == "given up")
    return RunResult(
        sums=[book.done.get(n) for n in range(job.chunks.count)],
        quarantined=tuple(Quarantine(chunk, *job.chunks.bounds(chunk), reason) for chunk, reason in given_up),
        retries=sum(event.kind == "retried" for event in events),
        wall_s=wall_s,
        objects=job.chunks.objects(event.chunk for event in events if event.kind == "finished"),
        device=processor,
        sessions=len(book.earlier) + 1,
        wall_s_of_sessions=wall_s + sum(session.wall_s for session in book.earlier),
    )


@contextmanager
def _continuable(book: Journal, job: _Job, label: str) -> Iterator[None]:
    """Say how to continue a run that was stopped from outside; what was done is in the journal."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        if job.store is not None:
            sweep_partial(job.store)
        message = (
            f'no space left on the device, {_done(book, job)}; free some space and continue with if_exists="resume"'
        )
        raise OSError(error.errno, message, error.filename or str(job.store or book.path)) from error
    except KeyboardInterrupt:
        message = f'{label}: interrupted with {_done(book, job)}; continue with if_exists="resume"'
        raise KeyboardInterrupt(message) from None


def _done(book: Journal, job: _Job) -> str:
    return f"{len(book.done)} of {job.chunks.count} chunks done"


@contextmanager
def _discarding(book: Journal, job: _Job, if_exists: IfExists) -> Iterator[None]:
    """Leave nothing behind a run whose input is refused before anything was measured, and keep what was measured."""
    try:
        yield
    except InputError as error:
        if book.done:
            advice = 'see if_exists="resume" and if_exists="overwrite"'
            raise InputError(f"{error}; {_done(book, job)} and kept, {advice}") from error
        if if_exists != "resume":
            if job.store is not None and job.store.exists():
                remove(job.store)
            book.path.unlink()
        raise


def _prepare(book: Journal, job: _Job, output: NewStore | Path, label: str, if_exists: IfExists) -> None:
    """Bring journal and store into agreement, ready for the chunks that are left."""
    store, chunks = job.store, job.chunks
    if if_exists == "overwrite":
        # The journal first: if this is cut off, none may say that the chunks of a store are done that is half deleted.
        book.clear()
        if store is not None and store.exists():
            remove(store)
    # Again, now that no other run can come in between.
    refuse_existing(book.path, store, if_exists)
    if book.empty and store is not None and store.exists():
        raise InputError(f'{store} has no journal to resume from; replace it with if_exists="overwrite"')
    identity = fingerprint(job.task.settings(), output.schema if isinstance(output, NewStore) else None)
    header = {"fingerprint": identity, "label": label, "unit": chunks.unit, "code": code_now(job.code.module)}
    book.begin({"size": chunks.size, "chunk": chunks.length, "store": store is not None, **header})
    if store is None:
        return
    sweep_partial(store)
    if book.done and not store.exists():
        raise InputError(f'{store} is gone, but its journal is not; start with if_exists="overwrite"')


def _mend(book: Journal, job: _Job, output: NewStore, show: bool) -> None:
    """Write again what is lost of the template, and strike the chunks from the journal whose rows are."""
    restored = restore_if_damaged(output, job.chunks.length, job.task.settings())
    lost, _ = lost_at_a_glance(output.path, job.chunks.length, book.done)
    for number, reason in lost.items():
        book.strike(number, reason)
    if show and restored:
        print(f"{output.path}: written again, but for its rows: {restored}", file=sys.stderr)
    if show and lost:
        print(f"{output.path}: {len(lost)} chunks are computed again: {next(iter(lost.values()))}", file=sys.stderr)


@contextmanager
def _executor(
    job: _Job, client: distributed.Client | None, label: str, progress: Progress
) -> Iterator[tuple[Executor, str]]:
    """Give the executor and the name of its processor; afterwards nothing begins any more, but what runs goes on."""
    if client is None:
        yield Direct(job), _describe(job.device)
        return
    window = Window(client, job, label.replace(" ", "_"), progress.say)
    try:
        yield window, window.ask(_ready, job)
    finally:
        window.cancel()


def _ready(job: _Job) -> str:
    """Name the processor; a worker that does has imported the task, and has the code of the client."""
    job.code.require()
    return _describe(job.device)


def _describe(device: str) -> str:
    return describe_device(choose_device(device))


def _record(job: _Job, book: Journal, progress: Progress, event: Event) -> None:
    if event.kind == "finished":
        book.append(event.chunk, event.sums)
        progress.finished(job.chunks.objects([event.chunk]))
    elif event.kind == "retried":
        progress.retried()
    else:
        book.give_up(event.chunk, event.reason)
        progress.quarantined(event.chunk, *job.chunks.bounds(event.chunk), event.reason)
