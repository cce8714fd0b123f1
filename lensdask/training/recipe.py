"""Recipes of trainings: TOML files, by name or path, and the dataclasses that they fill; where the weights go."""

import dataclasses
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lensdask.data.files import read_toml
from lensdask.errors import InputError
from lensdask.places import local_path

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["MOST_EXAMPLES", "check_output", "find_recipe", "recipe_names", "recipe_of_file"]

RECIPES = Path(__file__).parents[1] / "recipes"
"""Recipes that come with the package."""

MOST_EXAMPLES = 1_000_000_000
"""In an epoch: more take years."""

T = TypeVar("T", bound="DataclassInstance")


def recipe_names(prefixes: tuple[str, ...]) -> list[str]:
    """Return the names of the recipes that come with the package and begin with one of some prefixes."""
    return sorted(path.stem for path in RECIPES.glob("*.toml") if path.stem.startswith(prefixes))


def find_recipe(name: str | Path, prefixes: tuple[str, ...]) -> Path:
    """Return the file of a recipe.

    Parameters
    ----------
    name
        Name of a recipe that comes with the package, or the path of a TOML file.
    prefixes
        How the names of the pillar's recipes begin.

    Raises
    ------
    InputError
        It is neither.
    """
    known, path = recipe_names(prefixes), Path(name)
    if str(name) in known:
        return RECIPES / f"{name}.toml"
    if path.suffix != ".toml" and not path.exists():
        raise InputError(f"recipe {str(name)!r} is unknown; expected {', '.join(known)} or a .toml file")
    return path


def recipe_of_file(
    path: Path,
    default: T,
    networks: Mapping[str, Mapping[str, "DataclassInstance"]],
    renamed: Mapping[str, str] | None = None,
) -> T:
    """Return a recipe with the settings of a TOML file.

    The file may hold the recipe's own settings at its top, and a table for each of its dataclasses. In ``[network]``,
    `architecture` and `base` say which network the other settings change.

    Parameters
    ----------
    path
        The file.
    default
        The recipe of an empty file, with a field `network`.
    networks
        Networks to start from by architecture and base; where the file says nothing, the first of the first.
    renamed
        New names of tables by their old ones, which work with a `DeprecationWarning` for one release.

    Raises
    ------
    InputError
        The file cannot be read, has a setting that does not exist, or one that cannot be.
    """
    content = read_toml(path, "a TOML file")
    for old, new in (renamed or {}).items():
        if old in content:
            message = f"{path}: [{old}] is now [{new}]; the old name goes with the next release"
            warnings.warn(message, DeprecationWarning, stacklevel=3)
            content[new] = content.pop(old)
    parts: dict[str, Any] = {"network": _network(content.pop("network", {}), networks, f"{path}: [network]")}
    for field in dataclasses.fields(default):
        value = getattr(default, field.name)
        if field.name != "network" and dataclasses.is_dataclass(value) and not isinstance(value, type):
            parts[field.name] = _replaced(value, content.pop(field.name, {}), f"{path}: [{field.name}]")
    return _replaced(dataclasses.replace(default, **parts), content, str(path))


def _network(table: Any, networks: Mapping[str, Mapping[str, "DataclassInstance"]], where: str) -> "DataclassInstance":
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: {table!r}; expected a table")
    settings = dict(table)
    architecture = str(settings.pop("architecture", next(iter(networks))))
    if architecture not in networks:
        raise InputError(f"{where}: architecture {architecture!r}; expected {', '.join(networks)}")
    bases = networks[architecture]
    base = str(settings.pop("base", next(iter(bases))))
    if base not in bases:
        raise InputError(f"{where}: base {base!r}; expected {', '.join(bases)}")
    return _replaced(bases[base], settings, where)


def _replaced(base: T, values: Any, where: str) -> T:
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
    local_path(path, "weights")
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: suffix {path.suffix!r}; expected .safetensors")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; replace it with overwrite=True")
    place = next(parent for parent in path.resolve().parents if parent.exists())
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise InputError(f"{place}: cannot be written to; expected a directory for the weights")
