"""The journal of a run: which chunks are done, and their sums.

A line is appended and flushed to disk for each finished chunk, by the client alone, so a run that
is killed at any moment loses at most the chunks in flight. Sums are stored as the bytes of their
float64 values: a resumed run adds up the very same bits.
"""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from lensdask.data import Schema, code_version, configuration_hash
from lensdask.errors import InputError

__all__ = ["Journal", "Sums", "fingerprint", "journal_path"]

Sums = dict[str, np.ndarray]
"""Float64 sums of one chunk, by name."""


def journal_path(store: str | os.PathLike[str]) -> Path:
    """Return the path of the journal of a store: beside it, so that the store holds data only."""
    store = Path(store)
    return store.with_name(f"{store.name}.journal.jsonl")


def fingerprint(config: Mapping[str, Any], schema: Schema | None = None, weights: Sequence[str] = ()) -> str:
    """Return the sha256 of all that decides the result of a run.

    Parameters
    ----------
    config
        Configuration in plain JSON values.
    schema
        Schema of the store that the run writes, if any.
    weights
        sha256 of each file of weights.

    Raises
    ------
    InputError
        The configuration has values that are not plain JSON.
    """
    return configuration_hash(
        {
            "config": dict(config),
            "schema": schema and [schema.name, schema.version],
            "weights": list(weights),
            "code_version": code_version(),
        }
    )


class Journal:
    """A journal, open and locked while in a ``with`` block.

    Parameters
    ----------
    path
        File of the journal; made if absent.

    Raises
    ------
    InputError
        On entering: another run holds the journal.
    """

    path: Path
    done: dict[int, Sums | None]
    """Sums of each finished chunk, by its number."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.done = {}

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = self.path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise InputError(
                f"{self.path}: another run is writing here; wait for it or choose another place"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def empty(self) -> bool:
        """Whether no run has left a whole line yet."""
        self._file.seek(0)
        return not self._file.readline().endswith(b"\n")

    def clear(self) -> None:
        """Forget everything."""
        self._file.truncate(0)
        self.done = {}

    def begin(self, header: Mapping[str, Any]) -> None:
        """Write the header of a new journal, or read one that a run left.

        Parameters
        ----------
        header
            What identifies the run: its fingerprint, size and chunk.

        Raises
        ------
        InputError
            The journal is of a run with another header, or is damaged before its last line.
        """
        if self.empty:
            self.clear()
            self._append(dict(header))
            return
        found = self._whole_lines()
        if not found or found[0] != dict(header):
            raise InputError(
                f"{self.path}: the run here has another configuration; use the same one, another place, or --overwrite"
            )
        self.done = {line["chunk"]: _decode(line["sums"]) for line in found[1:]}

    def append(self, chunk: int, sums: Sums | None) -> None:
        """Record a finished chunk; on return it is on disk."""
        self._append({"chunk": chunk, "sums": _encode(sums)})
        self.done[chunk] = sums

    def _append(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _whole_lines(self) -> list[dict[str, Any]]:
        """Return the lines, and cut off a last one that a killed run left unfinished."""
        self._file.seek(0)
        raw = self._file.read().splitlines(keepends=True)
        lines, good = [], 0
        for number, text in enumerate(raw, start=1):
            try:
                if not text.endswith(b"\n"):
                    break
                lines.append(json.loads(text))
            except ValueError as error:
                if number < len(raw):
                    raise InputError(f"{self.path}: line {number} is damaged; start again with --overwrite") from error
                break
            good += len(text)
        self._file.truncate(good)
        return lines


def _encode(sums: Sums | None) -> dict[str, Any] | None:
    if sums is None:
        return None
    return {
        name: {"shape": array.shape, "float64": array.astype("<f8").tobytes().hex()} for name, array in sums.items()
    }


def _decode(sums: dict[str, Any] | None) -> Sums | None:
    if sums is None:
        return None
    return {
        name: np.frombuffer(bytes.fromhex(entry["float64"]), "<f8").astype(np.float64).reshape(entry["shape"])
        for name, entry in sums.items()
    }
