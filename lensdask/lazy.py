"""Public names of a package, loaded when they are first used (PEP 562).

A package imports its names under ``TYPE_CHECKING``, for type checkers, and leaves the rest to `lazy_names`::

    if TYPE_CHECKING:
        from lensdask.shear.stamps import make_stamps
    else:
        __getattr__, __dir__ = lazy_names(__name__)

So the import of a package costs nothing, and the first use of a name imports the module that has it, no other.
"""

import ast
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(
    package: str, renamed: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package
        Its ``__name__``.
    renamed
        New names of this package by their old ones, which work with a `DeprecationWarning` for one release.
    """

    def load(name: str) -> Any:
        """Load a public name when it is first used."""
        if renamed and name in renamed:
            new = renamed[name]
            message = f"{package}.{name} is now {package}.{new}; the old name goes with the next release"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            return getattr(sys.modules[package], new)
        home = _homes(package).get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if home == package:
            return importlib.import_module(f"{package}.{name}")
        value = getattr(importlib.import_module(home), name)
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: sorted(sys.modules[package].__all__)


@cache
def _homes(package: str) -> dict[str, str]:
    """Return the module of each name that a package imports under ``TYPE_CHECKING``."""
    # The source, and not a table beside it: one list of names, which cannot disagree with what type checkers see.
    spec = importlib.util.find_spec(package)
    source = spec.loader.get_source(package)  # type: ignore[union-attr]  # a package that runs was found
    blocks = [node.body for node in ast.parse(source).body if _is_type_checking(node)]
    imports = [node for block in blocks for node in block if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module for node in imports for alias in node.names if node.module}


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
