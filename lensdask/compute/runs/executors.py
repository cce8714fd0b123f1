"""What takes chunks and gives their outcomes; the simplest one computes in this process.

On a cluster it is a `lensdask.compute.runs.window.Window`.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from lensdask.compute.runs.journal_format import Sums

__all__ = ["Direct", "Executor", "Outcome"]


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
