"""What a run on a cluster says while it goes on: of workers that were ended, and of chunks that take long."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import distributed

from lensdask.compute.room import in_bytes

__all__ = ["MORE_MEMORY", "News", "full_workers"]

_MEMORY = "worker-restart-memory"
"""Dask's name for the news that a nanny has killed its worker for that."""

_SCHEDULER, _SILENT = "scheduler", "worker-ttl-timed-out"
"""Dask's names for news of the scheduler, and for the one that it heard nothing of workers for long."""

MORE_MEMORY = "give workers more, or take fewer"
"""What to do about workers whose memory is full."""

_TOLD = 3
"""Workers that are told of, for each reason: it may go on for hours."""

_LONG_SECONDS = 600.0
"""After how long without an outcome to say so for the first time."""


class News:
    """Tells of workers, until it is closed.

    Parameters
    ----------
    client
        The cluster.
    say
        Called with a line for people.
    """

    def __init__(self, client: distributed.Client, say: Callable[[str], None]) -> None:
        self._client, self._say = client, say
        self._told: Counter[str] = Counter()
        self.filled = 0
        """Workers that had filled their memory since the last chunk that was finished."""
        self._long = _LONG_SECONDS
        self.start_clock()
        client.subscribe_topic(_MEMORY, self._memory_filled)
        client.subscribe_topic(_SCHEDULER, self._fell_silent)

    def close(self) -> None:
        """Hear no more news."""
        for topic in (_MEMORY, _SCHEDULER):
            self._client.unsubscribe_topic(topic)

    def start_clock(self) -> None:
        """Begin to wait for the next outcome."""
        self._last = time.monotonic()

    def check(self) -> None:
        """Say so if nothing was finished for long; next time after twice as long, as some chunks take hours."""
        waited = time.monotonic() - self._last
        if waited < self._long:
            return
        busy = sorted(worker for worker, keys in self._client.processing().items() if keys)
        if not busy:
            self.start_clock()
            return
        self._long = 2 * waited
        where = ", ".join(busy[:_TOLD]) + ", …" * (len(busy) > _TOLD)
        advice = "if a worker hangs, kill its process: others compute its chunks"
        self._say(f"no chunk was finished for {waited / 60:.0f} min; computing on {where}; {advice}")

    def fill(self, what: str) -> None:
        """Count a worker that was started again since its memory was full, and tell of it."""
        self.filled += 1
        self._tell(_MEMORY, f"{what} and was started again; {MORE_MEMORY}")

    def _memory_filled(self, event: tuple[float, dict[str, Any]]) -> None:
        _, worker = event
        self.fill(f"worker {worker['worker']} had filled its memory ({in_bytes(worker['rss'])})")

    def _fell_silent(self, event: tuple[float, dict[str, Any]]) -> None:
        _, news = event
        if news.get("action") == _SILENT:
            end = f"hung for {news['ttl']:.0f} s and was ended; others take its chunks"
            for worker in news["workers"]:
                self._tell(_SILENT, f"worker {worker} {end}")

    def _tell(self, reason: str, line: str) -> None:
        self._told[reason] += 1
        if self._told[reason] <= _TOLD:
            self._say(line)


def full_workers(client: distributed.Client) -> set[str]:
    """Return the workers that compute nothing and take nothing, since their memory is nearly full.

    Parameters
    ----------
    client
        The cluster.
    """
    workers: dict[str, Any] = client.scheduler_info()["workers"]
    paused = {address: one["metrics"] for address, one in workers.items() if one["status"] == "paused"}
    return {address for address, metrics in paused.items() if not metrics.get("task_counts", {}).get("executing")}
