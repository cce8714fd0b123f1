"""Where data are: a path of this machine, or the URL of a store, as object stores and web servers have it."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

from lensdask.errors import InputError

__all__ = ["local_path", "located"]

PathLike = str | os.PathLike[str]

# pathlib, and so every option of the command line, makes one slash of two.
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.:-]+):/+(?P<rest>.*)", re.DOTALL)


def located(path: PathLike) -> Path | str:
    """Return a path of this machine as one, ``file://…`` too, and any other URL as text.

    Parameters
    ----------
    path
        Path or URL; a `Path` that was made of a URL counts as one.

    Raises
    ------
    InputError
        It is empty.
    """
    text = os.fspath(path)
    if not text:
        raise InputError("the path is empty; expected the name of a file, a folder or a store")
    found = _URL.fullmatch(text)
    if found is None:
        return Path(text)
    if found["scheme"] in ("file", "local"):
        return Path("/" + unquote(found["rest"]))
    return f"{found['scheme']}://{found['rest']}"


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
    if isinstance(place, str):
        raise InputError(f"{place}: {what} cannot be behind a URL; expected a path of this machine")
    return place
