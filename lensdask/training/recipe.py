"""Recipes of trainings: dataclasses whose settings a TOML file may change, and where the weights go."""

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lensdask.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["check_output", "read_toml", "replaced"]

T = TypeVar("T", bound="DataclassInstance")


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}; expected a TOML file") from error


def replaced(base: T, values: Any, where: str) -> T:
    """Return a dataclass with some fields replaced by those of a TOML table.

    Parameters
    ----------
    base
        What is to be changed; its values say which types the settings have.
    values
        Table; lists stand for tuples.
    where
        Name of the table, for people.

    Raises
    ------
    InputError
        A setting does not exist, is of another type, or is refused by the dataclass itself.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: {values!r}; expected a table")
    known = {f.name: getattr(base, f.name) for f in dataclasses.fields(base)}
    settings: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    for name, value in settings.items():
        if name not in known:
            raise InputError(f"{where}: unknown setting {name!r}; expected {', '.join(sorted(known))}")
        if not _same_kind(value, known[name]):
            raise InputError(f"{where}: {name} is {value!r}; expected something like {known[name]!r}")
    try:
        return dataclasses.replace(base, **settings)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _same_kind(value: Any, example: Any) -> bool:
    """Whether a setting has the type of its default; a whole number may stand for a fraction.

    What is empty by default may be anything that is not a table: the dataclass itself knows.
    """
    if example is None:
        return not isinstance(value, Mapping)
    if isinstance(example, tuple):
        return isinstance(value, tuple) and all(_same_kind(v, example[0]) for v in value)
    if isinstance(example, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(example)


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse a place where hours of training could not be saved.

    Raises
    ------
    InputError
        The name is not that of a file of weights, the file exists, or its directory cannot be written to.
    """
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: suffix {path.suffix!r}; expected .safetensors")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; replace it with overwrite=True")
    place = next(parent for parent in path.resolve().parents if parent.exists())
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise InputError(f"{place}: cannot be written to; expected a directory for the weights")
