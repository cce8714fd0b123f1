"""Files that are read and written whole, and how a run notices that one of them is no longer what it was."""

import hashlib
import os
import uuid
from pathlib import Path

from lensdask.errors import InputError

__all__ = ["check_unchanged", "file_sha256", "read_whole", "write_whole"]

PathLike = str | os.PathLike[str]


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
        There is no such file.
    """
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        # Other errors of the file system may be those of one machine.
        raise InputError(f"{path} cannot be read ({error.strerror}); expected {what}") from error


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
