"""How the journal of a run is written: its lines, and what they say of the sessions that wrote them.

A line is a JSON object that says by ``event`` what it is, and by ``time`` (seconds since 1970) when it was written::

    {"event": "run", "version": 1, "fingerprint": …, "size": …, "chunk": …, "label": …, "unit": …, "code": …}
    {"event": "session", "time": …}                                  a call of `run` begins to work
    {"event": "done", "time": …, "chunk": 3, "sums": {…}}
    {"event": "given up", "time": …, "chunk": 4, "reason": "…"}      the next session tries it again

Times say how fast a run is, and decide nothing. Sums are the bytes of their float64 values, in hexadecimal digits.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lensdask.errors import InputError

__all__ = ["VERSION", "Session", "Sums", "decode", "encode", "read_lines"]

VERSION = 1
"""Of the form of the lines."""

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


def read_lines(path: Path) -> Iterator[tuple[Line, int]]:
    """Give the whole lines of a journal, and where each ends in the file; a torn last one is left out.

    Parameters
    ----------
    path
        File of the journal, which a run may be writing.

    Raises
    ------
    InputError
        A line before the last is damaged, or the journal has another version.
    """
    end, damaged = 0, 0
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            if damaged:
                raise InputError(f'{path}: line {damaged} is damaged; start again with if_exists="overwrite"')
            if not text.endswith(b"\n"):
                break
            line = _parse(text)
            if line is None:
                damaged = number
                continue
            if number == 1 and line.get("version") != VERSION:
                raise InputError(
                    f"{path}: a journal of version {line.get('version', 0)}; this lensdask reads {VERSION}; "
                    'start again with if_exists="overwrite"'
                )
            end += len(text)
            yield line, end


def _parse(text: bytes) -> Line | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


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
