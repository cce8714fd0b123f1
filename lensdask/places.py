"""Where data are: a path of this machine, or the URL of a store, as object stores and web servers have it."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

from lensdask.errors import InputError
from lensdask.remote import RemotePath

__all__ = ["PathLike", "Place", "local_path", "located", "refuse_same", "version_of"]

PathLike = str | os.PathLike[str] | RemotePath
"""What a user gives for a place: a path, or a URL."""

Place = Path | RemotePath
"""Where a store is."""

# pathlib, and so every option of the command line, makes one slash of two.
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.:-]+):(?P<slashes>/+)(?P<rest>.*)", re.DOTALL)

_BEFORE_HOST = 2
"""Slashes of a URL that names a host."""


def located(path: PathLike) -> Place:
    """Return a path of this machine as one, ``file://…`` too, and any other URL as what is behind it.

    Schemes are in any case, and ``file://localhost/…`` is ``file:///…``.

    Parameters
    ----------
    path
        Path or URL; a `Path` that was made of a URL counts as one.

    Raises
    ------
    InputError
        It is empty, or a URL without a name, with a password, or of a file of another machine.
    """
    if isinstance(path, RemotePath):
        return path
    text = os.fspath(path)
    if not text:
        raise InputError("the path is empty; expected the name of a file, a folder or a store")
    found = _URL.fullmatch(text)
    if found is None:
        return Path(text)
    scheme, (host, _, below) = found["scheme"].lower(), found["rest"].partition("/")
    if scheme in ("file", "local"):
        # Of one slash or three nothing is a host; pathlib leaves one.
        has_host = len(found["slashes"]) == _BEFORE_HOST and bool(host)
        if has_host and host.lower() != "localhost":
            raise InputError(
                f"{text}: a file of another machine, {host}; expected file:///PATH, three slashes, of this"
            )
        return Path("/" + unquote(below if has_host else found["rest"]))
    if re.search(":.*@", host):
        # Messages, journals and graphs name the places of stores.
        raise InputError(f"{scheme}://…: a password in a URL; expected it in the configuration of fsspec")
    name = found["rest"].rstrip("/")
    if not name:
        raise InputError(f"{scheme}:// has no name of a store; expected one after it")
    return RemotePath(f"{scheme}://{name}")


def local_path(path: PathLike, what: str) -> Path:
    """Return a path of this machine, ``file://…`` too.

    Parameters
    ----------
    path
        Path or URL.
    what
        What is kept there, for the message.

    Raises
    ------
    InputError
        It is empty, or the URL of another place.
    """
    place = located(path)
    if isinstance(place, RemotePath):
        raise InputError(f"{place}: {what} cannot be behind a URL; expected a path of this machine")
    return place


def refuse_same(output: PathLike, source: PathLike) -> None:
    """Refuse a store that is both input and output, and one within the other.

    Raises
    ------
    InputError
        It is, by whatever names.
    """
    one, other = (_parts(located(path)) for path in (output, source))
    if one == other:
        raise InputError(f"{output} is both input and output; expected two different stores")
    for place, parts, around, outer in ((output, one, source, other), (source, other, output, one)):
        if parts[: len(outer)] == outer:
            raise InputError(f"{place} is inside of {around}; expected two stores beside each other")


def _parts(place: Place) -> tuple[str, ...]:
    return place.resolve().parts if isinstance(place, Path) else tuple(place.url.split("/"))


def version_of(file: Place) -> str:
    """Return what changes when a file is replaced.

    Raises
    ------
    FileNotFoundError
        There is none.
    """
    return str(file.stat().st_mtime_ns) if isinstance(file, Path) else file.version()
