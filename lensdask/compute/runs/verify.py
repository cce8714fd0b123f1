"""Whether the rows of a run are still in its store, at a glance: before it is said to be finished.

What is lost is struck from the journal, and computed when the run is resumed. `lensdask.compute.verification` reads all
of a store.
"""

import itertools
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from lensdask.compute.runs.output import NewStore
from lensdask.data.whole import StoredChunk, stored_chunks
from lensdask.errors import InputError

__all__ = ["Damage", "lost_at_a_glance", "restore_if_damaged", "sorted_damage"]

Damage = dict[str, str]
"""What is wrong with which file."""


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
    chunks = (chunk for chunk in stored_chunks(store) if chunk.start is None or chunk.start // length in done)
    return sorted_damage(((chunk, chunk.glance()) for chunk in chunks), length)


def sorted_damage(found: Iterable[tuple[StoredChunk, str | None]], length: int) -> tuple[dict[int, str], Damage]:
    """Return the chunks of a run that are lost, and what is wrong with which file.

    Parameters
    ----------
    found
        Files, and what is wrong with each, None for nothing.
    length
        Objects of a chunk of the run.
    """
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
