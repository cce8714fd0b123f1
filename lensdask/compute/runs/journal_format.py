"""How the journal of a run is written: its lines, and what they say of the sessions that wrote them.

A line is a JSON object that says by ``event`` what it is, and by ``time`` (seconds since 1970) when it was written::

    {"event": "run", "version": 2, "fingerprint": …, "size": …, "chunk": …, "label": …, "unit": …, "code": …}
    {"event": "session", "time": …}                                  a call of `run` begins to work
    {"event": "done", "time": …, "chunk": 3, "sums": {…}}
    {"event": "given up", "time": …, "chunk": 4, "reason": "…"}      the next session tries it again
    {"event": "struck", "time": …, "chunk": 3, "reason": "…"}        not done after all: its rows in the store were lost

Times say how fast a run is, and decide nothing. Sums are the bytes of their float64 values, in hexadecimal digits.
Every line ends in ``"crc32"``, the checksum of what it is without; those of journals of version 1 do not.
"""

import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from lensdask.errors import InputError

__all__ = [
    "VERSION",
    "LineReader",
    "Session",
    "Sums",
    "decode",
    "encode",
    "line_of",
    "read_lines",
    "sessions_with",
    "whole_lines",
]

VERSION = 2
"""Of the form of the lines."""

_CHECKED = b', "crc32": "'
_LENGTH = len(_CHECKED) + len('01234567"}\n')

Line = dict[str, Any]

Sums = dict[str, np.ndarray]
"""Float64 sums of one chunk, by name."""


@dataclass
class Session:
    """A call of `lensdask.compute.run` that worked on a run, as its journal tells it."""

    began: float
    """Time of its beginning, seconds since 1970."""
    ended: float
    """Time of the last line it wrote."""
    done: list[int] = field(default_factory=list)
    """Chunks it finished."""
    given_up: dict[int, str] = field(default_factory=dict)
    """Chunks it gave up, with the reasons."""

    @property
    def wall_s(self) -> float:
        """Seconds it worked; a clock that was put back meanwhile leaves none."""
        return max(0.0, round(self.ended - self.began, 3))

    def add(self, line: Line) -> None:
        """Take a line that it wrote into account."""
        self.ended = line["time"]
        if line["event"] == "done":
            self.done.append(line["chunk"])
        else:
            self.given_up[line["chunk"]] = line["reason"]


def sessions_with(sessions: list[Session], line: Line) -> None:
    """Add to the sessions of a run what a line says of them."""
    if line["event"] == "session" or not sessions:
        sessions.append(Session(line["time"], line["time"]))
    if line["event"] in ("done", "given up"):
        sessions[-1].add(line)


def line_of(content: Mapping[str, Any]) -> bytes:
    """Return a line, with its checksum."""
    text = json.dumps(content).encode()
    return text[:-1] + _checksum(text)


def _checksum(text: bytes) -> bytes:
    """Return the end of a line that is `text` without its checksum."""
    return _CHECKED + b'%08x"}\n' % zlib.crc32(text)


def read_lines(path: Path) -> Iterator[tuple[Line, int]]:
    """Give the whole lines of a journal, and where each ends in the file; a torn or damaged last one is left out.

    Parameters
    ----------
    path
        File of the journal, which a run may be writing.

    Raises
    ------
    InputError
        A line before the last is damaged, or the journal has another version.
    """
    end, fault, read = 0, "", LineReader(path)
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            if not text.endswith(b"\n"):
                break
            if fault:
                raise InputError(f"{path}: {fault}; {_STRIKE if end else _ANEW}")
            try:
                line = read(text)
            except _DamageError as error:
                fault = f"line {number} is damaged: {error}"
                continue
            end += len(text)
            yield line, end


def whole_lines(path: Path) -> tuple[bytes, dict[int, str]]:
    """Return the lines of a journal that are whole, and what is wrong with the others by their numbers.

    Raises
    ------
    InputError
        The first line, which says what the run is, is damaged or of another version.
    """
    kept, faults, read = [], {}, LineReader(path)
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            try:
                read(text)
            except _DamageError as error:
                if number == 1:
                    raise InputError(f"{path}: line 1 is damaged: {error}; {_ANEW}") from error
                faults[number] = f"is damaged: {error}"
            else:
                kept.append(text)
    return b"".join(kept), faults


_ANEW = 'start again with if_exists="overwrite"'

_STRIKE = f'"lensdask verify" strikes it, then if_exists="resume" computes what it said was done; or {_ANEW}'


class _DamageError(Exception):
    """A line is damaged; says why."""


class LineReader:
    """Reads the lines of a journal from the first on, and checks each.

    Parameters
    ----------
    path
        The journal, for messages.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version, self._chunks = 0, 0
        self._sums: Mapping[str, tuple[int, ...]] | None = None

    def __call__(self, text: bytes) -> Line:
        """Return a line.

        Raises
        ------
        InputError
            The first line says that the journal has another version.
        """
        line, checked = _parsed(text)
        if not self._version:
            self._begin(line)
        elif line.get("event") == "run":
            raise _DamageError("it begins another run")
        if self._version > 1 and not checked:
            raise _DamageError("it has no checksum")
        _check_fields(line)
        if "chunk" in line and line["event"] != "run":
            self._check_chunk(line)
        return line

    def _begin(self, line: Line) -> None:
        if line.get("version") not in range(1, VERSION + 1):
            raise InputError(
                f"{self._path}: a journal of version {line.get('version', 0)}; this lensdask reads {VERSION}; {_ANEW}"
            )
        if line.get("event") != "run":
            raise _DamageError("it does not begin a run")
        _check_fields(line)
        self._version, self._chunks = line["version"], -(-line["size"] // line["chunk"])

    def _check_chunk(self, line: Line) -> None:
        if not 0 <= line["chunk"] < self._chunks:
            raise _DamageError(f"there is no chunk {line['chunk']} of {self._chunks}")
        if line.get("sums") is not None:
            found = _shapes(line["sums"])
            if self._sums not in (None, found):
                raise _DamageError("its sums are not like those of the lines before")
            self._sums = found


def _parsed(text: bytes) -> tuple[Line, bool]:
    """Return a line, and whether it has a checksum."""
    checked = text[-_LENGTH:].startswith(_CHECKED)
    if checked:
        text, end = text[:-_LENGTH] + b"}", text[-_LENGTH:]
        if end != _checksum(text):
            raise _DamageError("its checksum differs")
    try:
        line = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _DamageError("it is no JSON") from error
    if not isinstance(line, dict):
        raise _DamageError("it is no JSON object")
    return line, checked


_CHUNK: Final = {"time": float, "chunk": int}
_FIELDS: Final[Mapping[str, Mapping[str, type]]] = {
    "run": {"fingerprint": str, "size": int, "chunk": int, "label": str, "unit": str},
    "session": {"time": float},
    "done": {**_CHUNK, "sums": dict},
    "given up": {**_CHUNK, "reason": str},
    "struck": {**_CHUNK, "reason": str},
}
_LATEST: Final = 1e11
"""A time of the year 5138; later ones are no times."""


def _check_fields(line: Line) -> None:
    event = line.get("event")
    if not isinstance(event, str) or event not in _FIELDS:
        raise _DamageError(f"its event {event!r:.40} is unknown")
    for name, kind in _FIELDS[event].items():
        if name not in line:
            raise _DamageError(f"it is {event!r} without {name!r}")
        value = line[name]
        is_right = isinstance(value, int | float if kind is float else kind) and not isinstance(value, bool)
        if kind is float:
            is_right = is_right and 0 <= value < _LATEST
        if event == "run" and kind is int:
            is_right = is_right and value > 0
        if not is_right and (name, value) != ("sums", None):
            raise _DamageError(f"its {name!r} is {value!r:.40}")


def _shapes(sums: Line) -> dict[str, tuple[int, ...]]:
    """Return what sums of all chunks have in common: names, dimensions and lengths of all but the first."""
    shapes = {}
    for name, entry in sums.items():
        try:
            shape, size = entry["shape"], len(bytes.fromhex(entry["float64"]))
            whole = size == 8 * math.prod(shape) and all(n >= 0 for n in shape)
        except (KeyError, TypeError, ValueError):
            whole = False
        if not whole:
            raise _DamageError(f"its sums {name!r:.40} are not whole")
        shapes[name] = (len(shape), *shape[1:])
    return shapes


def encode(sums: Sums | None) -> dict[str, Any] | None:
    """Return sums in plain JSON, to the bit."""
    if sums is None:
        return None
    return {
        name: {"shape": array.shape, "float64": array.astype("<f8").tobytes().hex()} for name, array in sums.items()
    }


def decode(sums: Mapping[str, Any] | None) -> Sums | None:
    """Return the sums that `encode` was given."""
    if sums is None:
        return None
    return {
        name: np.frombuffer(bytes.fromhex(entry["float64"]), "<f8").astype(np.float64).reshape(entry["shape"])
        for name, entry in sums.items()
    }
