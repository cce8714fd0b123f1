"""Whether a store is whole to the last bit: a run over its files, which a cluster may share and which can be resumed.

What is damaged is struck from the journal of the run that wrote the store, and computed when that is resumed.
"""

import errno
import hashlib
import os
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lensdask.compute.devices import Device
from lensdask.compute.runs.chunks import Chunks
from lensdask.compute.runs.engine import run
from lensdask.compute.runs.journal import Journal, journal_path
from lensdask.compute.runs.journal_format import Sums
from lensdask.compute.runs.options import RunOptions
from lensdask.compute.runs.task import NOT_IDENTITY, Task
from lensdask.compute.runs.verify import Damage, sorted_damage
from lensdask.data.whole import StoredChunk, stored_chunks
from lensdask.places import PathLike, Place, located

__all__ = ["Verified", "verify"]

_FILES = 64
"""The most files of a task."""

_SHARES = 32
"""The fewest tasks of a store that has so many files."""


@dataclass(frozen=True)
class Verified:
    """What a store was found to be.

    Parameters
    ----------
    store
        Its directory.
    files
        Chunks and shards that were read: all, or those of chunks that its run has done.
    damage
        What is wrong, by the file of the chunk, or the line of the journal.
    struck
        Chunks of the run that were struck from its journal.
    left
        Chunks that the run has not done, with those that were struck: it computes them when it is resumed.
    """

    store: Place
    files: int
    damage: Damage
    struck: tuple[int, ...] = ()
    left: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether all is there and undamaged."""
        return not self.damage and not self.left

    def as_json(self) -> dict[str, Any]:
        """Return the same in plain JSON values."""
        return asdict(self) | {"store": str(self.store), "struck": list(self.struck)}


@dataclass(frozen=True)
class ReadFiles(Task):
    """Reads files of a store."""

    store: str = field(metadata=NOT_IDENTITY)
    """Its directory, or its URL."""
    metadata: str
    """Checksum of its metadata, which decide what files there are."""

    def __call__(self, start: int, stop: int, device: Device) -> tuple[None, Sums]:  # noqa: ARG002  no arrays
        """Return the numbers of those that are damaged."""
        files = _files(self.store, self.metadata)[start:stop]
        damaged = [number for number, file in enumerate(files, start) if file.read()]
        return None, {"damaged": np.array(damaged, dtype=np.float64)}


@lru_cache(maxsize=2)
def _files(store: str, _metadata: str) -> list[StoredChunk]:
    return list(stored_chunks(located(store)))


def verify(path: PathLike, options: RunOptions | None = None) -> Verified:
    """Read every chunk of a store, and strike what is damaged from the journal beside it, if there is one.

    How far it is stands in a file beside the store, until it is done; in the current directory, where none can be
    written beside it.

    Parameters
    ----------
    path
        Directory of the store, or its URL.
    options
        Cluster; whether to go on where an earlier call was interrupted.

    Raises
    ------
    InputError
        It is no store of lensdask, its metadata are damaged, a run is at work on it, or an earlier call was interrupted
        and the options do not say what to do about it.
    """
    store = located(path)
    if isinstance(store, Path):
        store = store.absolute()
    chunks = list(stored_chunks(store))
    # No run writes behind a URL.
    if not isinstance(store, Path) or not (journal := journal_path(store)).is_file():
        return Verified(store, len(chunks), sorted_damage(_damaged(store, chunks, options), 1)[1])
    with Journal(journal) as book:
        damage = {f"{journal}, line {number}": fault for number, fault in book.mend().items()}
        length = book.chunks.length
        # Of what the run has not done yet, nothing need be there.
        kept = {chunk.file for chunk in chunks if chunk.start is None or chunk.start // length in book.done}
        found = [(chunk, reason) for chunk, reason in _damaged(store, chunks, options) if chunk.file in kept]
        lost, files = sorted_damage(found, length)
        for number, reason in lost.items():
            book.strike(number, reason)
        left = book.chunks.count - len(book.done)
    return Verified(store, len(kept), damage | files, tuple(sorted(lost)), left)


def _damaged(store: Place, chunks: list[StoredChunk], options: RunOptions | None) -> list[tuple[StoredChunk, str]]:
    """Read all files of a store; return those that are damaged, and why."""
    is_beside = isinstance(store, Path) and os.access(store.parent, os.W_OK)
    progress = (store.parent if is_beside and isinstance(store, Path) else Path.cwd()) / f"{store.name}.verify.jsonl"
    with (store / "zarr.json").open("rb") as metadata:
        task = ReadFiles(str(store), hashlib.sha256(metadata.read()).hexdigest())
    shares = Chunks(len(chunks), max(1, min(_FILES, len(chunks) // _SHARES)), "files")
    reading = options or RunOptions(cluster="threads")
    found = run(task, shares, progress, reading, label=f"verify {store.name}")
    if found.quarantined:
        reason = f'not all files were read ({found.quarantined[0].reason}); continue with if_exists="resume"'
        raise OSError(errno.EIO, reason, str(store))
    progress.unlink()
    numbers = sorted(int(number) for sums in found.sums if sums for number in sums["damaged"])
    # Once more, to say why; what was computed again since an interrupted call is whole.
    again = ((chunks[number], chunks[number].read()) for number in numbers)
    return [(chunk, fault) for chunk, fault in again if fault]
