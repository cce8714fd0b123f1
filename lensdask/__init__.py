"""Gravitational-lensing measurement with neural networks, from papers to survey scale.

Importing the package is cheap: torch and Dask are loaded when something needs them.
"""

import importlib
from typing import TYPE_CHECKING, Any

from lensdask.errors import InputError

if TYPE_CHECKING:
    from lensdask import massmap, shear
    from lensdask.compute import start_cluster
    from lensdask.data import open, write  # noqa: A004  the name users know from xarray and GalSim

__all__ = ["InputError", "massmap", "open", "shear", "start_cluster", "write"]

_HOME = {"open": "lensdask.data", "write": "lensdask.data", "start_cluster": "lensdask.compute"}
_PILLARS = ("massmap", "shear")


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name in _PILLARS:
        return importlib.import_module(f"lensdask.{name}")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'lensdask' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
