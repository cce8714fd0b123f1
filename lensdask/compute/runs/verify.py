"""Whether the rows of a run are still in its store: at a glance, before it is said to be finished, or to the last bit.

What is lost is struck from the journal, and computed when the run is resumed.
"""

import itertools
import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lensdask.compute.runs.journal import Journal, journal_path
from lensdask.compute.runs.output import NewStore
from lensdask.data.whole import StoredChunk, stored_chunks
from lensdask.errors import InputError
from lensdask.places import PathLike, Place, located

__all__ = ["Damage", "Verified", "lost_at_a_glance", "restore_if_damaged", "verify"]

Damage = dict[str, str]
"""What is wrong with which file."""


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


def lost_at_a_glance(store: Path, length: int, done: Container[int]) -> tuple[dict[int, str], Damage]:
    """Return the chunks of a run whose files are missing or cut off, and what is wrong with the files.

    Parameters
    ----------
    store
        The store.
    length
        Objects of a chunk of the run.
    done
        Chunks that should be there.

    Raises
    ------
    InputError
        The metadata of the store are damaged or missing.
    """
    chunks = _done(stored_chunks(store), length, done)
    return _sorted(((chunk, chunk.glance()) for chunk in chunks), length)


def verify(path: PathLike, on_file: Callable[[int], None] = lambda _: None) -> Verified:
    """Read every chunk of a store, and strike what is damaged from the journal beside it, if there is one.

    Parameters
    ----------
    path
        Directory of the store, or its URL.
    on_file
        Called with the number of all files, each time that one was read.

    Raises
    ------
    InputError
        It is no store of lensdask, its metadata are damaged, or a run is at work on it.
    """
    store = located(path)
    if isinstance(store, Path):
        store = store.absolute()
    chunks = list(stored_chunks(store))
    if not isinstance(store, Path) or not (journal := journal_path(store)).is_file():
        return Verified(store, len(chunks), _sorted(_read(chunks, on_file), 1)[1])
    with Journal(journal) as book:
        damage = {f"{journal}, line {number}": fault for number, fault in book.mend().items()}
        chunks = list(_done(chunks, book.chunks.length, book.done))
        lost, files = _sorted(_read(chunks, on_file), book.chunks.length)
        for number, reason in lost.items():
            book.strike(number, reason)
        left = book.chunks.count - len(book.done)
    return Verified(store, len(chunks), damage | files, tuple(sorted(lost)), left)


def _done(chunks: Iterable[StoredChunk], length: int, done: Container[int]) -> Iterator[StoredChunk]:
    """Give those of the template and of the chunks of a run that are done."""
    return (chunk for chunk in chunks if chunk.start is None or chunk.start // length in done)


def _read(chunks: list[StoredChunk], on_file: Callable[[int], None]) -> Iterator[tuple[StoredChunk, str | None]]:
    # Reading, checksums and decompression leave the other threads alone.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for chunk, reason in zip(chunks, pool.map(StoredChunk.read, chunks), strict=True):
            on_file(len(chunks))
            yield chunk, reason


def _sorted(found: Iterable[tuple[StoredChunk, str | None]], length: int) -> tuple[dict[int, str], Damage]:
    """Return the chunks of the run that are lost, and the damage."""
    lost: dict[int, str] = {}
    damage: Damage = {}
    for chunk, reason in found:
        if reason is not None:
            damage[str(chunk.file)] = reason
            if chunk.start is not None:
                lost.setdefault(chunk.start // length, f"{chunk.file} {reason}")
    return lost, damage


def restore_if_damaged(output: NewStore, length: int, settings: Mapping[str, Any]) -> str | None:
    """Write the template of a store of a run again if any of it is damaged or missing.

    Parameters
    ----------
    output
        The store.
    length
        Objects of a chunk.
    settings
        Those of the task.

    Returns
    -------
    str or None
        What was wrong, None for nothing.
    """
    try:
        template = itertools.takewhile(lambda chunk: chunk.start is None, stored_chunks(output.path))
        found = next((f"{c.file} {reason}" for c in template if (reason := c.read())), None)
    except InputError as error:
        found = str(error)
    if found:
        output.restore(length, settings)
    return found
