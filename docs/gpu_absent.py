"""Importing this lets modules be imported that are not there, as far as nobody uses them.

GPU nodes seldom have all that lensdask needs. Resmoothing, networks and the Wiener filter use neither GalSim nor Dask,
but the packages that they lie in import them.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence
from typing import Any

RUNS = ("dask", "distributed", "zarr", "astropy", "galsim")
"""Modules that simulations and runs need, and the rest does not."""


def missing(modules: Sequence[str]) -> list[str]:
    """Return which modules this Python cannot import."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


class _Used(type):
    """The type of everything in a module that is not there: using it is an error that names it."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _part_of(f"{cls.__module__}.{name}")

    def __call__(cls, *arguments: Any, **options: Any) -> Any:  # noqa: ARG002
        raise ModuleNotFoundError(f"{cls.__module__} is not installed here, and is needed")


def _part_of(name: str) -> type:
    return _Used(name.rpartition(".")[2], (), {"__module__": name.rpartition(".")[0]})


class _Absent(types.ModuleType):
    """A module that is not there."""

    __path__: list[str] = []  # noqa: RUF012  what makes a module a package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _part_of(f"{self.__name__}.{name}")


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules that are not there."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = set(names)

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Return a module for the names, and for what is in them."""
        found = name.partition(".")[0] in self.names
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if found else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Return an empty module."""
        return _Absent(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Do nothing."""


ABSENT = missing(RUNS)
"""Those that are not there: whatever is called in them raises ModuleNotFoundError."""

sys.meta_path.append(_Finder(ABSENT))
