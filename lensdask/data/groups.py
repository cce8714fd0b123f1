"""Stores as groups of Zarr arrays: opened if their metadata are whole, made and removed at once."""

import glob
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import zarr

from lensdask.data.checked import checked_arrays, zarr_store
from lensdask.data.checksums import check_seal
from lensdask.data.regions import dims_of
from lensdask.data.schema import Schema
from lensdask.data.schemas import SCHEMAS
from lensdask.errors import InputError
from lensdask.places import PathLike, Place, local_path, located
from lensdask.remote import reached

__all__ = ["arrays_of", "chunked", "open_group", "remove", "require_store", "staged", "sweep_partial"]


def open_group(path: Place, mode: Literal["r", "r+"]) -> tuple[zarr.Group, Schema]:
    """Return the group of a store, whose metadata are whole, and its schema.

    Raises
    ------
    InputError
        As for `open`.
    """
    check_seal(path)
    group, name, version = _read_group(path, mode)
    schema = SCHEMAS.get(name)
    if schema is None:
        raise InputError(f"{path}: schema {name!r} is unknown; expected {' or '.join(SCHEMAS)}")
    if version != schema.version:
        raise InputError(f"{path}: version {version} of schema {name!r}; this lensdask reads {schema.version}")
    return group, schema


def arrays_of(path: Place, group: zarr.Group) -> "dict[str, zarr.Array[Any]]":
    """Return the arrays of a store, checked when they are read.

    Raises
    ------
    InputError
        One of them is none that lensdask could have written.
    """
    try:
        with checked_arrays(), reached(path):
            return dict(group.arrays())
    except InputError:
        raise
    except ValueError as error:
        detail = str(error).splitlines()[0]
        raise InputError(f"{path}: an array cannot be read ({detail}); expected one written by lensdask") from error


def chunked(arrays: "Mapping[str, zarr.Array[Any]]", schema: Schema) -> "dict[str, zarr.Array[Any]]":
    """Return those arrays that are written chunk by chunk."""
    unit = schema.unit_dim
    return {name: array for name, array in arrays.items() if name in schema.variables and unit in dims_of(array)}


def _read_group(path: Place, mode: Literal["r", "r+"]) -> tuple[zarr.Group, str, object]:
    if not path.exists():
        raise InputError(f"{path} does not exist; expected a store written by lensdask")
    try:
        # What lies in the store counts, not what consolidated metadata, which lensdask never writes, say of it.
        with reached(path):
            group = zarr.open_group(zarr_store(path, mode), mode=mode, zarr_format=3, use_consolidated=False)
        return group, str(group.attrs["schema"]), group.attrs["schema_version"]
    except InputError:
        raise
    except (FileNotFoundError, NotADirectoryError, KeyError, ValueError) as error:
        # Not every error of the file system: one worker may have lost a mount that the others see.
        raise InputError(f"{path} is not a store written by lensdask") from error


@contextmanager
def staged(path: Place, overwrite: bool) -> Iterator[Place]:
    """Give a sibling to write into, which becomes a store if all goes well, else it is removed.

    Parameters
    ----------
    path
        Directory of the store.
    overwrite
        Whether one that is there is replaced, in the end.

    Raises
    ------
    InputError
        The path exists.
    """
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; replace it with overwrite=True")
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
    staging = _partial(path)
    try:
        yield staging
        if overwrite and path.exists():
            remove(path)
        staging.rename(path)
    finally:
        if isinstance(staging, Path):
            shutil.rmtree(staging, ignore_errors=True)
        else:
            # Without its server nothing can be removed; what stopped the writer is told.
            with suppress(InputError, OSError):
                staging.delete()


def require_store(path: PathLike) -> None:
    """Check that a path is a store of lensdask, of any schema and version, that may be deleted.

    Raises
    ------
    InputError
        It is something else, or a link.
    """
    place = located(path)
    _read_group(place, "r")
    if isinstance(place, Path) and place.is_symlink():
        raise InputError(f"{path} is a link, which lensdask does not delete; expected the store itself")


def remove(path: PathLike) -> None:
    """Delete a store of lensdask, of any schema and version.

    It is renamed first, and behind a URL loses its metadata first: a path holds a whole store or none, also if this is
    cut off; `sweep_partial` takes the rest.

    Raises
    ------
    InputError
        The path is something else, which is never deleted, or a link. Links inside are removed, not followed.
    """
    require_store(path)
    place = located(path)
    if isinstance(place, Path):
        shutil.rmtree(place.rename(_partial(place)))
    else:
        place.delete()


def sweep_partial(path: PathLike) -> int:
    """Remove what killed writers left in and beside a store; return how many files and directories.

    No writer may be at work. The leftovers never replace finished chunks, since Zarr writes beside
    and renames; they only fill the disk. Links are removed, not followed.
    """
    path = local_path(path, "what a run writes")
    leftovers = [*path.rglob("*.partial"), *path.parent.glob(f".{glob.escape(path.name)}.*.partial")]
    for leftover in leftovers:
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()
    return len(leftovers)


def _partial(path: Place) -> Any:
    """Return a name beside a store, in a place of its kind, for what is not whole yet, or any more."""
    return path.parent / f".{path.name}.{uuid.uuid4().hex}.partial"
