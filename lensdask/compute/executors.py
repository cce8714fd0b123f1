"""Where chunks are computed: in this process, or in a window of futures on a cluster."""

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, Protocol

import distributed
from distributed.client import ClosedClientError

from lensdask.compute.journal_format import Sums

__all__ = ["Direct", "Executor", "Outcome", "Window"]

_RECOUNT_SECONDS = 1.0
"""How often to ask the scheduler for its workers."""

_LOST = "the scheduler was lost; continue with --resume"


class Outcome(NamedTuple):
    """What became of one attempt at a chunk: its sums, or the error."""

    chunk: int
    sums: Sums | None
    error: BaseException | None = None


class Executor(Protocol):
    """Takes chunks while it has room, and gives their outcomes in any order."""

    @property
    def pending(self) -> int:
        """Number of chunks taken whose outcome was not given yet."""

    @property
    def room(self) -> bool:
        """Whether to submit another chunk before waiting."""

    def submit(self, chunk: int) -> None:
        """Take a chunk."""

    def wait(self) -> Outcome:
        """Give the next outcome."""

    def cancel(self) -> None:
        """Drop what is pending."""


class Direct:
    """Computes in this process, one chunk at a time."""

    def __init__(self, task: Callable[[int], Sums | None]) -> None:
        self._task = task
        self._outcomes: deque[Outcome] = deque()

    @property
    def pending(self) -> int:
        """Number of outcomes not given yet."""
        return len(self._outcomes)

    @property
    def room(self) -> bool:
        """Whether the last outcome was given."""
        return not self._outcomes

    def submit(self, chunk: int) -> None:
        """Compute a chunk."""
        try:
            self._outcomes.append(Outcome(chunk, self._task(chunk)))
        except Exception as error:
            self._outcomes.append(Outcome(chunk, None, error))

    def wait(self) -> Outcome:
        """Give the oldest outcome."""
        return self._outcomes.popleft()

    def cancel(self) -> None:
        """Drop outcomes not given yet."""
        self._outcomes.clear()


@contextmanager
def _asking_the_scheduler(client: distributed.Client) -> Iterator[None]:
    try:
        if client.status == "closed":
            raise ClosedClientError
        yield
    except (OSError, ClosedClientError) as error:
        raise ConnectionError(_LOST) from error


class Window:
    """Computes on a cluster, with about two chunks in flight per thread of its workers.

    All chunks at once would make the scheduler hold tens of thousands of tasks, and a retry would
    wait behind all of them.
    """

    def __init__(self, client: distributed.Client, task: Callable[[int], Sums | None], name: str) -> None:
        self._client, self._task, self._name = client, task, name
        self._chunks: dict[distributed.Future[Sums | None], int] = {}
        self._completed = distributed.as_completed([])
        self._threads, self._counted = 0, -_RECOUNT_SECONDS

    @property
    def pending(self) -> int:
        """Number of chunks in flight."""
        return len(self._chunks)

    @property
    def room(self) -> bool:
        """Whether the window is not full. Workers come and go, so they are counted now and then."""
        now = time.monotonic()
        if now - self._counted >= _RECOUNT_SECONDS:
            with _asking_the_scheduler(self._client):
                self._threads, self._counted = sum(self._client.nthreads().values()), now
        return self.pending < max(2, 2 * self._threads)

    def submit(self, chunk: int) -> None:
        """Send a chunk to the cluster."""
        # The dashboard groups tasks by what precedes the last hyphen.
        key = f"{self._name}-{uuid.uuid4().hex}"
        with _asking_the_scheduler(self._client):
            future = self._client.submit(self._task, chunk, key=key, pure=False)
        self._chunks[future] = chunk
        self._completed.add(future)

    def wait(self) -> Outcome:
        """Wait for the next outcome.

        Raises
        ------
        ConnectionError
            The scheduler was lost, and the chunks in flight with it.
        """
        future = next(self._completed)
        chunk = self._chunks.pop(future)
        try:
            # Sums that died with their worker are computed again, and waited for here.
            return Outcome(chunk, future.result())
        except distributed.CancelledError as error:
            raise ConnectionError(_LOST) from error
        except Exception as error:
            return Outcome(chunk, None, error)

    def cancel(self) -> None:
        """Cancel what is in flight."""
        # A scheduler that was lost has nothing in flight.
        with suppress(OSError, ClosedClientError):
            self._client.cancel(list(self._chunks))
        self._chunks.clear()
