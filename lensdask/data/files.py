"""Files that are read and written whole, and how a run notices that one of them is no longer what it was."""

import hashlib
import json
import os
import stat
import tomllib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lensdask.errors import InputError

__all__ = [
    "check_unchanged",
    "file_sha256",
    "read_json",
    "read_toml",
    "read_whole",
    "refuse_devices",
    "write_whole",
]

PathLike = str | os.PathLike[str]

_LONGEST = 2**26
"""Bytes of the longest text that is parsed."""


def refuse_devices(path: PathLike, what: str) -> None:
    """Refuse a device, pipe or socket, from which a reader may wait for ever or read without an end.

    Parameters
    ----------
    path
        A file, which need not exist.
    what
        What was expected there, for the message.

    Raises
    ------
    InputError
        It is one.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return  # whoever opens it says why it cannot be
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{path} is a device, a pipe or a socket; expected {what}")


def read_whole(path: PathLike, what: str) -> bytes:
    """Return the content of a file.

    Parameters
    ----------
    path
        The file.
    what
        What was expected there, for the message.

    Raises
    ------
    InputError
        There is no such file, or it is a device.
    """
    refuse_devices(path, what)
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        # Other errors of the file system may be those of one machine.
        raise InputError(f"{path} cannot be read ({error.strerror}); expected {what}") from error


def read_json(path: PathLike, what: str) -> Any:
    """Return the content of a JSON file; `path` and `what` as in `read_whole`.

    Raises
    ------
    InputError
        There is no such file, or it is not JSON.
    """
    return _parsed(path, what, json.loads, "JSON")


def read_toml(path: PathLike, what: str) -> dict[str, Any]:
    """Return the content of a TOML file; `path` and `what` as in `read_whole`.

    Raises
    ------
    InputError
        There is no such file, or it is not TOML.
    """
    found: dict[str, Any] = _parsed(path, what, tomllib.loads, "TOML")
    return found


def _parsed(path: PathLike, what: str, parse: Callable[[str], Any], language: str) -> Any:
    data = read_whole(path, what)
    if len(data) > _LONGEST:
        raise InputError(f"{path} has {len(data)} bytes; expected {what}")
    try:
        return parse(data.decode())
    except RecursionError:
        reason = "brackets nested too deeply"
    except ValueError as error:
        reason = str(error).partition("\n")[0]
    raise InputError(f"{path} is not {language} ({reason}); expected {what}")


def file_sha256(path: PathLike) -> str:
    """Return the sha256 of a file.

    Raises
    ------
    InputError
        There is no such file.
    """
    return hashlib.sha256(read_whole(path, "a file")).hexdigest()


def check_unchanged(path: PathLike | None, found: str, wanted: str, what: str) -> None:
    """Refuse an input of a run that was replaced after the run began.

    Parameters
    ----------
    path
        Where the input is.
    found, wanted
        Its fingerprint now and when the run began.
    what
        What it is, for the message.

    Raises
    ------
    InputError
        The two differ.
    """
    if found != wanted:
        raise InputError(f"{path}: changed since the run began; expected the same {what}, of fingerprint {wanted:.12}")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside and rename it, so that a reader never meets half a file."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
