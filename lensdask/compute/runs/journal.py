"""The journal of a run: which chunks are done, and their sums; which were given up; and when.

A line is appended and flushed to disk for each chunk, by the client alone, so a run that is killed at any moment loses
at most the chunks in flight. Sums are stored as the bytes of their float64 values: a resumed run adds up the very same
bits. The lines are those of `lensdask.compute.runs.journal_format`.
"""

import errno
import fcntl
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from lensdask.code import refuse_changed_code
from lensdask.compute.runs.chunks import Chunks
from lensdask.compute.runs.journal_format import (
    VERSION,
    Session,
    Sums,
    decode,
    encode,
    line_of,
    read_lines,
    sessions_with,
    whole_lines,
)
from lensdask.data import Schema, configuration_hash
from lensdask.data.files import write_whole
from lensdask.errors import InputError

__all__ = ["AT_WORK", "Journal", "fingerprint", "is_locked", "journal_path"]

_LOCK_SECONDS = 0.3
"""How long to try for the lock: whoever asks whether a run is at work holds it for an instant."""

AT_WORK = "another run is writing here; wait for it to finish or choose another path"
"""Why a journal is refused that another process has locked."""

_IDENTITY = ("event", "fingerprint", "size", "chunk")
"""What two headers of one run share; its names are for people."""


_ANEW = 'start again with if_exists="overwrite", or in another place'


def journal_path(store: str | os.PathLike[str]) -> Path:
    """Return the path of the journal of a store: beside it, so that the store holds data only."""
    store = Path(store)
    return store.with_name(f"{store.name}.journal.jsonl")


def fingerprint(config: Mapping[str, Any], schema: Schema | None = None) -> str:
    """Return the sha256 of all that decides the result of a run but its code, which the journal holds file by file.

    Parameters
    ----------
    config
        Configuration in plain JSON values, files by their checksums.
    schema
        Schema of the store that the run writes, if any.

    Raises
    ------
    InputError
        The configuration has values that are not plain JSON.
    """
    return configuration_hash(
        {
            "config": dict(config),
            "schema": schema and [schema.name, schema.version],
        }
    )


def is_locked(path: Path) -> bool:
    """Return whether a run is at work on a journal."""
    with path.open("rb") as file:
        try:
            # Shared, so that two who ask do not take each other for a run; and given back at once, so that a run that
            # begins meanwhile, which tries for a while, does not mind.
            _lock(file, path, fcntl.LOCK_SH)
        except BlockingIOError:
            return True
    return False


def _lock(file: IO[bytes], path: Path, how: int) -> None:
    """Lock a file or raise `BlockingIOError`; a file system without locks is refused."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            raise
        raise InputError(
            f"{path}: this file system has no locks (flock: {error.strerror}), so two runs could write here at once; "
            "expected one that has, like Lustre mounted with flock"
        ) from error


class Journal:
    """A journal, open and locked while in a ``with`` block.

    Parameters
    ----------
    path
        File of the journal; made if absent, and removed again if nothing was written.

    Raises
    ------
    InputError
        On entering: another run holds the journal.
    """

    path: Path
    done: dict[int, Sums | None]
    """Sums of each finished chunk, by its number."""
    earlier: list[Session]
    """Sessions before this one."""
    chunks: Chunks
    """Chunks of the run, as an earlier session left it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.done, self.earlier = {}, []

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        give_up = time.monotonic() + _LOCK_SECONDS
        while not self._locked():
            if time.monotonic() > give_up:
                raise InputError(f"{self.path}: {AT_WORK}")
            time.sleep(0.02)
        return self

    def _locked(self) -> bool:
        """Open and lock the file; return whether that succeeded."""
        # Unbuffered: what could not be written must not be tried once more when the file is closed.
        self._file: IO[bytes] = self.path.open("ab", buffering=0)
        try:
            _lock(self._file, self.path, fcntl.LOCK_EX)
        except BlockingIOError:
            self._file.close()
            return False
        except InputError:
            self._close()
            raise
        if not self._is_at_path():
            self._file.close()
            return False
        return True

    def _is_at_path(self) -> bool:
        """Whether the open file is the one at the path: another run may have removed it before it was locked."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        """Close the file, and remove it if there is nothing in it."""
        if os.fstat(self._file.fileno()).st_size == 0 and self._is_at_path():
            self.path.unlink()
        self._file.close()

    @property
    def empty(self) -> bool:
        """Whether no run has left a whole line yet.

        Raises
        ------
        InputError
            As for `begin`.
        """
        return next(read_lines(self.path), None) is None

    def clear(self) -> None:
        """Forget everything; on return that is on disk."""
        self._file.truncate(0)
        os.fsync(self._file.fileno())
        self.done, self.earlier = {}, []

    def begin(self, header: Mapping[str, Any]) -> None:
        """Write the header of a new journal, or read what earlier sessions left.

        Parameters
        ----------
        header
            What identifies the run, its fingerprint, size and chunk; its code, ``{"version": …, "files": {…}}`` with
            the files from `lensdask.code.code_files`; and its label and unit, for people.

        Raises
        ------
        InputError
            The journal is of a run with another fingerprint, size or chunk, or the code has changed since; or it has
            another version, or is damaged before its last line.
        """
        header = {"event": "run", "version": VERSION, **header}
        if self.empty:
            # What a killed run left of a header goes.
            self._file.truncate(0)
            self._append(header)
        else:
            self._read(header)

    def mend(self) -> dict[int, str]:
        """Take up what earlier sessions left, without damaged lines; return what was wrong with these by their numbers.

        Raises
        ------
        InputError
            The first line is damaged, or the journal has another version.
        """
        lines, faults = whole_lines(self.path)
        if faults:
            write_whole(self.path, lines)
            # It is another file now.
            self._file.close()
            self.__enter__()
        self._read()
        return faults

    def begin_session(self) -> None:
        """Note that work begins: what came before it, like the wait for workers, counts for no rate."""
        self._append({"event": "session", "time": _now()})

    def append(self, chunk: int, sums: Sums | None) -> None:
        """Record a finished chunk; on return it is on disk."""
        self._append({"event": "done", "time": _now(), "chunk": chunk, "sums": encode(sums)})
        self.done[chunk] = sums

    def give_up(self, chunk: int, reason: str) -> None:
        """Record a chunk that was given up; the next session tries it again."""
        self._append({"event": "given up", "time": _now(), "chunk": chunk, "reason": reason})

    def strike(self, chunk: int, reason: str) -> None:
        """Record that a finished chunk is not done after all: its rows were lost."""
        self._append({"event": "struck", "time": _now(), "chunk": chunk, "reason": reason})
        self.done.pop(chunk, None)

    def _append(self, line: Mapping[str, Any]) -> None:
        """Append a line, whole or, if the disk is full, not at all."""
        before = os.fstat(self._file.fileno()).st_size
        text = memoryview(line_of(line))
        try:
            while text:
                text = text[self._file.write(text) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(before)
            error.filename = str(self.path)
            raise

    def _read(self, header: Mapping[str, Any] | None = None) -> None:
        """Take up what earlier sessions did, and cut off a last line that a killed one left unfinished."""
        self.done, self.earlier = {}, []
        end = 0
        for line, end in read_lines(self.path):  # noqa: B007  the file ends where the last line does
            if line["event"] == "run":
                if header is not None:
                    self._check(line, header)
                self.chunks = Chunks(line["size"], line["chunk"])
                continue
            sessions_with(self.earlier, line)
            if line["event"] == "done":
                self.done[line["chunk"]] = decode(line["sums"])
            elif line["event"] == "struck":
                self.done.pop(line["chunk"], None)
        self._file.truncate(end)

    def _check(self, found: Mapping[str, Any], header: Mapping[str, Any]) -> None:
        if "code" in header and "code" not in found:
            raise InputError(f"{self.path}: begun by a lensdask before 0.2, whose code is unknown; {_ANEW}")
        if any(found.get(key) != header[key] for key in _IDENTITY):
            raise InputError(
                f"{self.path}: the run here has another configuration; "
                'use the same one, another place, or if_exists="overwrite"'
            )
        if "code" in header:
            refuse_changed_code(found["code"], header["code"], str(self.path), _ANEW)


def _now() -> float:
    return round(time.time(), 3)
