"""Whether every chunk that a store should have is there, at a glance or read to the last bit."""

import math
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import xarray as xr
import zarr

from lensdask.data.checked import BLOSC_HEADER, blosc_length
from lensdask.data.checksums import is_checked
from lensdask.data.groups import arrays_of, chunked, open_group
from lensdask.data.regions import chunk_file, chunk_start
from lensdask.data.store import open as open_store
from lensdask.errors import InputError
from lensdask.places import PathLike, Place, located

__all__ = ["StoredChunk", "open", "stored_chunks"]

_CHECKSUM = 4
"""Bytes of one."""

_LACKING = 2**64 - 1
"""Place of an inner chunk that a shard does not have."""


@dataclass(frozen=True)
class StoredChunk:
    """What a store keeps in one file: a chunk of an array, or a shard."""

    file: Place
    """Where."""
    start: int | None
    """Where it starts, as `lensdask.data.write_chunk` counts; None in an array that is written with the template."""
    place: tuple[int, ...]
    """Its number along each dimension."""
    array: "zarr.Array[Any]" = field(repr=False)
    """What it is a part of."""

    def glance(self) -> str | None:
        """Return what is wrong with the length of the file, like "is missing"; None for nothing.

        Arrays without checksums, of an older lensdask, may lack chunks.
        """
        checked = is_checked(self.array.metadata.to_dict().get("codecs"))
        try:
            # Opened, a pipe would wait for a writer.
            if isinstance(self.file, Path) and not stat.S_ISREG(self.file.stat().st_mode):
                return "is no file"
            if not checked:
                return None
            with self.file.open("rb") as file:
                is_whole = _shard_is_whole(file, self.array) if self.array.shards else _chunk_is_whole(file)
        except (FileNotFoundError, NotADirectoryError):
            return "is missing" if checked else None
        return None if is_whole else "is cut off"

    def read(self) -> str | None:
        """Return what is wrong with the chunk, which is read; None for nothing."""
        if reason := self.glance():
            return reason
        steps = self.array.shards or self.array.chunks
        region = tuple(slice(n * step, (n + 1) * step) for n, step in zip(self.place, steps, strict=True))
        try:
            self.array[region]
        except InputError:
            return "is damaged"
        return None


def open(path: PathLike) -> xr.Dataset:  # noqa: A001  users write lensdask.open
    """Open any store of lensdask lazily, one Dask chunk per unit of writing, or per chunk that can be read alone.

    Maps that were written without the coordinates of their pixels get them.

    Parameters
    ----------
    path
        Directory of the store, or its URL: ``s3://bucket/name`` (needs ``pip install 'lensdask[s3]'``),
        ``memory://name``, any that fsspec reads and lists.

    Raises
    ------
    InputError
        Nothing is at the path, it is no store of lensdask, its schema or version is unknown, or it is damaged. What is
        read later raises the same for a chunk that is damaged, or missing where that would pass for data; behind a URL,
        where no run writes, for each that is missing.
    ConnectionError
        The server of a URL does not answer.

    Warns
    -----
    UserWarning
        Chunks are missing: no run has written them yet, or they were lost.
    """
    dataset = open_store(path)
    place = located(path)
    lacking, count = _lacking(place) if isinstance(place, Path) else (0, 0)
    if lacking:
        warnings.warn(
            f"{path}: {lacking} of {count} chunks are missing, not written yet or lost; "
            'continue the run that writes them with if_exists="resume"',
            stacklevel=2,
        )
    return dataset


def _lacking(path: Path) -> tuple[int, int]:
    """Return how many chunks a store lacks, and how many it should have, by the array of each that is written last."""
    group, schema = open_group(path, "r")
    arrays = chunked(arrays_of(path, group), schema)
    name = max(arrays, default="")
    # Arrays without checksums, of an older lensdask, may lack chunks.
    if not name or not is_checked(arrays[name].metadata.to_dict().get("codecs")):
        return 0, 0
    array = arrays[name]
    grid = [-(-n // step) for n, step in zip(array.shape, array.shards or array.chunks, strict=True)]
    # Folders of chunks before their files: of those that nobody began there may be hundreds of thousands.
    key = array.metadata.encode_chunk_key
    folder = (path / name / key((0,) * array.ndim)).parents[array.ndim - 1]
    # Text, as a path takes longer to make than to look up.
    begun = [entry.name for entry in os.scandir(folder) if entry.name.isdecimal()] if folder.is_dir() else []
    count = math.prod(grid)
    if array.ndim == 1:
        return count - len(begun), count
    inner = ["/".join(map(str, place)) for place in np.ndindex(*grid[1:])]
    there = (os.path.exists(f"{folder}/{number}/{place}") for number in begun for place in inner)  # noqa: PTH110
    return count - sum(there), count


def stored_chunks(path: Place) -> Iterator[StoredChunk]:
    """Give all chunks that a store should have, always in one order: first of the arrays written with the template.

    Raises
    ------
    InputError
        It is no store of lensdask, or its metadata are damaged.
    """
    group, schema = open_group(path, "r")
    arrays = arrays_of(path, group)
    by_chunk = chunked(arrays, schema)
    # By their names too: Zarr gives arrays in the order in which it happens to read them.
    for name, array in sorted(arrays.items(), key=lambda item: (item[0] in by_chunk, item[0])):
        steps = array.shards or array.chunks
        for place in np.ndindex(*(-(-n // step) for n, step in zip(array.shape, steps, strict=True))):
            start = chunk_start(array, schema, place) if name in by_chunk else None
            yield StoredChunk(chunk_file(path, name, array, place), start, place, array)


def _chunk_is_whole(file: IO[bytes]) -> bool:
    header = file.read(BLOSC_HEADER)
    return len(header) == BLOSC_HEADER and blosc_length(header) + _CHECKSUM == file.seek(0, 2)


def _shard_is_whole(file: IO[bytes], array: "zarr.Array[Any]") -> bool:
    """Compare the length of a shard with what its index, the last in it, says of the places of its inner chunks."""
    count = math.prod(shard // chunk for shard, chunk in zip(array.shards or (), array.chunks, strict=True))
    size, length = file.seek(0, 2), 16 * count + _CHECKSUM
    if size < length:
        return False
    file.seek(size - length)
    places = np.frombuffer(file.read(16 * count), "<u8").reshape(count, 2)
    ends = places[places[:, 0] != _LACKING].sum(axis=1)
    return int(ends.max(initial=0)) + length == size
