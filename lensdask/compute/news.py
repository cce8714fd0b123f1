"""What a run on a cluster says while it goes on: of workers that were ended, and of chunks that take long."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import distributed

from lensdask.compute.room import in_bytes

__all__ = ["News"]

_MEMORY = "worker-restart-memory"
"""Dask's name for the news that a nanny has killed its worker for that."""

_SCHEDULER, _SILENT = "scheduler", "worker-ttl-timed-out"
"""Dask's names for news of the scheduler, and for the one that it heard nothing of workers for long."""

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

    def _memory_filled(self, event: tuple[float, dict[str, Any]]) -> None:
        _, worker = event
        filled = f"had filled its memory ({in_bytes(worker['rss'])}) and was started again"
        self._tell(_MEMORY, f"worker {worker['worker']} {filled}; give workers more, or take fewer")

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
