"""How the objects of a run are divided into chunks, and the chunks that were given up."""

from collections.abc import Iterable
from dataclasses import dataclass

from lensdask.errors import InputError, check_number

__all__ = ["Chunks", "Quarantine"]

_MOST = 10_000_000
"""Chunks of a run: this process keeps a kilobyte or so for each."""


@dataclass(frozen=True)
class Chunks:
    """Objects of a run in chunks of equal length, the last of which may be shorter."""

    size: int
    """Objects of the whole run."""
    length: int
    """Objects of a chunk."""
    unit: str = "objects"
    """What they are, in the plural, for people."""

    def __post_init__(self) -> None:
        if self.size < 1 or self.length < 1:
            raise InputError(f"run over {self.size} objects in chunks of {self.length}; expected at least 1")
        check_number(self.unit, self.size, whole=True)
        if self.count > _MOST:
            raise InputError(
                f"{self.unit}: {self.size} in {self.count:.3g} chunks of {self.length}; expected {_MOST} chunks at most"
            )

    @property
    def count(self) -> int:
        """Number of chunks."""
        return -(-self.size // self.length)

    def bounds(self, number: int) -> tuple[int, int]:
        """Return where a chunk starts and stops."""
        start = number * self.length
        return start, min(start + self.length, self.size)

    def objects(self, numbers: Iterable[int]) -> int:
        """Return how many objects some chunks have together."""
        return sum(stop - start for start, stop in map(self.bounds, numbers))


@dataclass(frozen=True)
class Quarantine:
    """A chunk that was given up."""

    chunk: int
    """Its number."""
    start: int
    """Position of its first object."""
    stop: int
    """Position after its last object."""
    reason: str
    """Why the last attempt failed, in a line."""
