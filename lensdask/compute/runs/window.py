"""Chunks computed on a cluster, in a window of futures.

A chunk that fails is tried on another worker. A worker on which several fail in a row is restarted: a CUDA error, for
one, stays for the life of its process, and such a worker would fail chunks faster than the others compute them.
"""

import queue
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import distributed
from distributed.client import ClosedClientError

from lensdask.compute.news import MORE_MEMORY, News, full_workers
from lensdask.compute.runs.executors import Outcome
from lensdask.compute.runs.journal_format import Sums

__all__ = ["Window"]

_RECOUNT_SECONDS = 1.0
"""How often to ask the scheduler for its workers."""

_FETCH_SECONDS = 3.0
"""How long to wait for the sums of a chunk before looking whether the workers are still there."""

_SICK = 3
"""Chunks that fail in a row on a worker before it is restarted."""

_RESTART_SECONDS = 30
"""How long to wait for a worker that is restarted."""

_ANSWER_SECONDS = 60
"""How long to wait for all workers before a run begins with those that answered."""

_ALL_LOST = "; those that were there left or died: of too little memory, perhaps"

_LOOK_SECONDS = 10.0
"""How often to look for workers that take no chunks any more."""

_MOST_FILLED = 10
"""Workers that fill their memory, per thread, without a chunk that is finished in between, before a run ends."""

_LOST = 'the scheduler was lost; continue with if_exists="resume"'

_WORKER = "lensdask_worker"
"""Attribute of an error that says on which worker a chunk failed; Dask does not tell."""


@dataclass(frozen=True)
class _Attempt:
    """A task that also tells on which worker it was computed."""

    task: Callable[[int], Sums | None]

    def __call__(self, chunk: int) -> tuple[str, Sums | None]:
        worker: str = distributed.get_worker().address
        try:
            return worker, self.task(chunk)
        except Exception as error:
            setattr(error, _WORKER, worker)
            raise


class _Flight(NamedTuple):
    """A chunk in flight."""

    chunk: int
    allowed: frozenset[str]
    """Workers that may compute it; any if empty."""


@contextmanager
def _asking_the_scheduler(client: distributed.Client) -> Iterator[None]:
    try:
        if client.status == "closed":
            raise ClosedClientError
        yield
    except (OSError, ClosedClientError, distributed.CancelledError) as error:
        raise ConnectionError(_LOST) from error


class Window:
    """Computes on a cluster, with about two chunks in flight per thread of its workers.

    All chunks at once would make the scheduler hold tens of thousands of tasks, and a retry would
    wait behind all of them.

    Parameters
    ----------
    client
        The cluster.
    task
        Function of the number of a chunk.
    name
        What the dashboard calls the tasks.
    say
        Called with a line for people.
    """

    def __init__(
        self,
        client: distributed.Client,
        task: Callable[[int], Sums | None],
        name: str,
        say: Callable[[str], None],
    ) -> None:
        self._client, self._attempt, self._name, self._say = client, _Attempt(task), name, say
        self._flights: dict[distributed.Future[Any], _Flight] = {}
        self._finished: queue.SimpleQueue[distributed.Future[Any]] = queue.SimpleQueue()
        self._workers: dict[str, int] | None = None
        self._counted = -_RECOUNT_SECONDS
        self._failed_on: dict[int, str] = {}
        self._in_a_row: Counter[str] = Counter()
        self._restart_may_help = True
        self._news = News(client, say)
        self._looked, self._full = -_LOOK_SECONDS, set[str]()
        self._most_filled = 2 * _MOST_FILLED

    @property
    def pending(self) -> int:
        """Number of chunks in flight."""
        return len(self._flights)

    @property
    def room(self) -> bool:
        """Whether the window is not full. Workers come and go, so they are counted now and then."""
        self._recount()
        return self.pending < max(2, 2 * sum((self._workers or {}).values()))

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function on each worker, or the first one that comes if there is none yet; return one's answer.

        Workers that answer have imported what the function needs, so that the run starts at its full speed.

        Raises
        ------
        ConnectionError
            The scheduler was lost meanwhile, or the workers die of it.
        """
        self._recount()
        options: dict[str, Any] = {"pure": False, "retries": 2, "allow_other_workers": True}
        try:
            with _asking_the_scheduler(self._client):
                # One worker may be sick; the others are asked then.
                asked = [
                    self._client.submit(function, *arguments, workers=[worker], **options)
                    for worker in self._workers or {}
                ] or [self._client.submit(function, *arguments, pure=False, retries=2)]
                with suppress(TimeoutError):
                    distributed.wait(asked, timeout=_ANSWER_SECONDS)
                if not any(one.done() for one in asked):
                    # Dask gives what a worker that has left was asked to none that comes later, if it waits for any.
                    asked.append(self._client.submit(function, *arguments, pure=False, retries=2))
                # One that hangs must not hold up the others.
                while not any(one.done() for one in asked):
                    with suppress(TimeoutError):
                        distributed.wait(asked, timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED")
                    self._look()
                return next(one for one in asked if one.done()).result()
        except distributed.KilledWorker as error:
            message = 'workers died before they computed anything; continue with if_exists="resume"'
            raise ConnectionError(message) from error

    def submit(self, chunk: int) -> None:
        """Send a chunk to the cluster, to another worker than the one where it failed if there is another."""
        workers = self._workers or {}
        avoided = self._failed_on.get(chunk)
        allowed = frozenset(workers) - {avoided} if avoided in workers else frozenset[str]()
        if not self._flights:
            # What was waited for before was somebody to work.
            self._news.start_clock()
        # The dashboard groups tasks by what precedes the last hyphen.
        key, where = f"{self._name}-{uuid.uuid4().hex}", sorted(allowed) or None
        with _asking_the_scheduler(self._client):
            future = self._client.submit(self._attempt, chunk, key=key, pure=False, workers=where)
        self._flights[future] = _Flight(chunk, allowed)
        future.add_done_callback(self._finished.put)

    def wait(self) -> Outcome:
        """Wait for the next outcome.

        Raises
        ------
        ConnectionError
            The scheduler was lost, and the chunks in flight with it; or workers have too little memory to begin.
        """
        while True:
            try:
                future = self._finished.get(timeout=_RECOUNT_SECONDS)
            except queue.Empty:
                self._look()
                continue
            # One that `_rescue` gave up is in flight under another key.
            if future in self._flights:
                if outcome := self._outcome(future):
                    self._news.start_clock()
                    return outcome
                self._finished.put(future)
                self._recount()

    def cancel(self) -> None:
        """Cancel what has not begun; a chunk that is being computed is finished, and not heard of any more."""
        # A scheduler that was lost has nothing in flight.
        with suppress(OSError, ClosedClientError):
            self._news.close()
            if self._flights:
                self._client.cancel(list(self._flights))
        self._flights.clear()

    def _outcome(self, future: "distributed.Future[Any]") -> Outcome | None:
        """Return what became of a chunk; None if its sums died with their worker and are being computed again."""
        chunk = self._flights[future].chunk
        try:
            worker, sums = future.result(timeout=_FETCH_SECONDS)
        except distributed.CancelledError as error:
            raise ConnectionError(_LOST) from error
        except Exception as error:
            if isinstance(error, TimeoutError) and future.status != "error":
                return None
            del self._flights[future]
            self._blame(getattr(error, _WORKER, ""), chunk)
            return Outcome(chunk, None, error)
        del self._flights[future], self._in_a_row[worker]
        self._failed_on.pop(chunk, None)
        self._restart_may_help, self._news.filled = True, 0
        return Outcome(chunk, sums)

    def _blame(self, worker: str, chunk: int) -> None:
        """Remember on which worker a chunk failed, and restart one that is sick."""
        if not worker:
            return
        self._failed_on[chunk] = worker
        self._in_a_row[worker] += 1
        # If nothing was finished since the last restart, the fault is elsewhere.
        if self._in_a_row[worker] >= _SICK and self._restart_may_help:
            self._restart_may_help = False
            if self._restart(worker):
                self._say(f"worker {worker} was restarted: {_SICK} chunks in a row failed on it")

    def _restart(self, worker: str) -> bool:
        """Restart a worker; return whether it was."""
        del self._in_a_row[worker]
        self._counted = -_RECOUNT_SECONDS
        # Nobody starts a worker without a nanny again (ValueError); one may have left by itself (KeyError).
        with suppress(ValueError, KeyError), _asking_the_scheduler(self._client):
            before = set(self._client.nthreads())
            self._client.restart_workers([worker], timeout=_RESTART_SECONDS, raise_for_error=False)
            self._avoid_after_restart(worker, set(self._client.nthreads()) - before)
            return True
        return False

    def _avoid_after_restart(self, worker: str, new: set[str]) -> None:
        """Keep the chunks that failed on a worker away from it: it has another address now, and may be sick still."""
        if len(new) == 1:
            (address,) = new
            moved = {chunk: address for chunk, failed in self._failed_on.items() if failed == worker}
            self._failed_on.update(moved)

    def _recount(self) -> None:
        """Ask which workers there are, unless that was asked a moment ago; say so if there are none any more."""
        now = time.monotonic()
        if now - self._counted < _RECOUNT_SECONDS:
            return
        with _asking_the_scheduler(self._client):
            workers: dict[str, int] = self._client.nthreads()
            if not workers and self._workers != {}:
                lost = "" if self._workers is None else _ALL_LOST
                self._say(f"waiting for workers at {self._client.scheduler_info()['address']}{lost}")
        self._workers, self._counted = workers, now
        self._most_filled = max(self._most_filled, _MOST_FILLED * sum(workers.values()))
        self._rescue(workers)
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._relieve()

    def _relieve(self) -> None:
        """Restart workers whose memory was full at the last look too: what they do not free now, they never do."""
        with _asking_the_scheduler(self._client):
            full = full_workers(self._client)
        for worker in full & self._full:
            if self._restart(worker):
                self._news.fill(f"worker {worker} took no chunks any more since its memory was nearly full")
        self._full = full

    def _look(self) -> None:
        """Look after the workers while there is no outcome."""
        self._recount()
        self._require_memory()
        with _asking_the_scheduler(self._client):
            self._news.check()

    def _require_memory(self) -> None:
        """End a run whose workers die of their memory one after the other, whatever they compute."""
        if self._news.filled > self._most_filled:
            raise ConnectionError(
                f"{self._news.filled} workers in a row filled their memory and finished no chunk; {MORE_MEMORY}, "
                'and continue with if_exists="resume"'
            )

    def _rescue(self, workers: dict[str, int]) -> None:
        """Submit again what only workers may compute that have all left: it would wait for ever."""
        flights = self._flights.items()
        stranded = [future for future, (_, allowed) in flights if allowed and allowed.isdisjoint(workers)]
        if stranded:
            with _asking_the_scheduler(self._client):
                self._client.cancel(stranded)
        for future in stranded:
            self.submit(self._flights.pop(future).chunk)
