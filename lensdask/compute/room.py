"""Whether there is room for data, on the disk or in memory, before anything is made of them."""

import math
import shutil
from pathlib import Path

from lensdask.errors import InputError

__all__ = ["in_bytes", "require_disk", "require_memory"]

_COMPRESSION = 4.0
"""No store of noisy numbers becomes smaller than by this factor; noiseless ones may."""


def in_bytes(size: float) -> str:
    """Return a number of bytes for people, in decimal units."""
    prefixes = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")
    step = min(int(math.log10(max(size, 1)) // 3), len(prefixes) - 1)
    return f"{size / 1000**step:.3g} {prefixes[step]}B"


def require_disk(path: Path, size: float, what: str, *, replaces: bool = False) -> None:
    """Refuse data that the disk cannot hold, however well they compress.

    Parameters
    ----------
    path
        Where they will be; need not exist.
    size
        Their bytes before compression.
    what
        What they are, and how many, for the message.
    replaces
        Whether they take the place of others, which will be deleted before.

    Raises
    ------
    InputError
        There is no room.
    """
    place = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    disk = shutil.disk_usage(place)
    room = disk.total if replaces else disk.free
    if size > _COMPRESSION * room:
        raise InputError(f"{what}: {in_bytes(size)}; expected what fits on the disk at {place}, {in_bytes(room)}")


def require_memory(size: float, what: str) -> None:
    """Refuse arrays that the memory of this machine cannot hold.

    Parameters
    ----------
    size
        Their bytes.
    what
        What they are, and how many, for the message.

    Raises
    ------
    InputError
        There is not as much.
    """
    from distributed.system import MEMORY_LIMIT  # of the container, where there is one

    if size > MEMORY_LIMIT:
        raise InputError(f"{what}: {in_bytes(size)}; expected what fits into memory, {in_bytes(MEMORY_LIMIT)}")
