"""Reading ahead: the next batches are made while the network learns from this one."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["read_ahead"]

T = TypeVar("T")


class _End:
    """What follows the last item."""


def read_ahead(items: Iterable[T], count: int = 2) -> Iterator[T]:
    """Yield items in their order, made by a thread that is some of them ahead.

    Parameters
    ----------
    items
        Whatever makes them, such as a generator that reads or simulates. What it raises is raised here, in its place.
    count
        Items that may lie ready, which bounds the memory.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1, "read-ahead") as thread:
        waiting = deque(thread.submit(next, iterator, _End) for _ in range(count))
        while (item := waiting.popleft().result()) is not _End:
            waiting.append(thread.submit(next, iterator, _End))
            # Not the end, which the loop tests by identity; mypy does not narrow a class that way.
            yield item  # type: ignore[misc]
