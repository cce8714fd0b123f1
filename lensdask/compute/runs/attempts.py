"""What to do about a chunk that failed: try again, give it up, or stop the run."""

import errno
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import distributed

from lensdask.compute.runs.executors import Executor, Outcome
from lensdask.compute.runs.journal_format import Sums
from lensdask.errors import InputError

__all__ = ["Event", "attempt_all", "is_disk_full"]


@dataclass(frozen=True)
class Event:
    """What happened to a chunk."""

    kind: Literal["finished", "retried", "given up"]
    chunk: int
    sums: Sums | None = None
    reason: str = ""


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that there is no space left, or none of what the user may fill."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


class _Queue:
    """Chunks that wait to be computed, in the order in which they shall be."""

    def __init__(self, chunks: Iterable[int], attempts: int) -> None:
        self._waiting, self._suspects = deque(chunks), deque[int]()
        self._alone: set[int] = set()
        self._failures: Counter[int] = Counter()
        self._attempts = attempts

    def __bool__(self) -> bool:
        return bool(self._waiting or self._suspects)

    def fill(self, executor: Executor) -> None:
        """Submit what there is room for."""
        if not self._waiting and not executor.pending and self._suspects:
            suspect = self._suspects.popleft()
            self._alone.add(suspect)
            self._waiting.append(suspect)
        while self._waiting and executor.room:
            executor.submit(self._waiting.popleft())

    def clear(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        self._suspects.clear()

    def judge(self, chunk: int, error: BaseException) -> Event | None:
        """Return what becomes of a chunk that failed; nothing yet if it is only suspected."""
        killed = isinstance(error, distributed.KilledWorker)
        self._failures[chunk] += 1
        if killed and chunk not in self._alone:
            # Dask also blames chunks that only waited on the worker which another one killed. By itself, at the end,
            # an innocent one finishes.
            self._suspects.append(chunk)
            return None
        if killed or self._failures[chunk] >= self._attempts:
            return Event("given up", chunk, reason=_one_line(error))
        if isinstance(error, InputError):
            # Soon: if the input is at fault, every other chunk will find the same.
            self._waiting.appendleft(chunk)
        else:
            # Last: what made it fail, a file server for one, may have recovered by then.
            self._waiting.append(chunk)
        return Event("retried", chunk)


def attempt_all(
    executor: Executor, chunks: Iterable[int], attempts: int, record: Callable[[Event], None]
) -> list[Event]:
    """Compute chunks until every one is finished or given up.

    Parameters
    ----------
    executor
        Where they are computed.
    chunks
        Their numbers.
    attempts
        How often to try a chunk that raises. One that kills its workers is given up when it does so by itself.
    record
        Called with every event.

    Returns
    -------
    list of Event
        All that happened.

    Raises
    ------
    InputError
        A chunk found the input at fault at every attempt; at one, it may have been the fault of a worker.
    OSError
        A chunk, or `record`, found the disk full. In both cases nothing is in flight any more, and what was is recorded
        as far as it finished.
    """
    queue, events, stop = _Queue(chunks, attempts), list[Event](), None
    while queue or executor.pending:
        queue.fill(executor)
        outcome = executor.wait()
        try:
            event = _event(outcome, queue, stop is not None)
            if event is not None:
                record(event)
                events.append(event)
        except (InputError, OSError) as error:
            if not isinstance(error, InputError) and not is_disk_full(error):
                raise
            # Every other chunk would find the same. Those in flight are waited for: what they measured counts, and
            # nobody may write any more when the caller clears up.
            stop = stop or error
            queue.clear()
    if stop is not None:
        raise stop
    return events


def _event(outcome: Outcome, queue: _Queue, stopping: bool) -> Event | None:
    """Return what happened to a chunk, if that is settled; raise what no other attempt would mend."""
    chunk, sums, error = outcome
    if error is None:
        return Event("finished", chunk, sums)
    if is_disk_full(error):
        raise error
    event = None if stopping else queue.judge(chunk, error)
    if event is not None and event.kind == "given up" and isinstance(error, InputError):
        raise error
    return event


def _one_line(error: BaseException) -> str:
    if isinstance(error, distributed.KilledWorker):
        return "its worker died or hung at every attempt; it may have run out of memory"
    return f"{type(error).__name__}: {error}".splitlines()[0]
