"""Gravitational-lensing measurement with neural networks, from papers to survey scale.

Importing the package is cheap: torch and Dask are loaded when something needs them.
"""

from typing import TYPE_CHECKING

from lensdask.errors import InputError
from lensdask.lazy import lazy_names

if TYPE_CHECKING:
    from lensdask import lss, maps, massmap, reproduce, shear, sky, stats, stronglens
    from lensdask.compute import RunOptions, start_cluster
    from lensdask.data import write
    from lensdask.data.whole import open  # noqa: A004  the name users know from xarray and GalSim

    __version__: str
else:
    _load, __dir__ = lazy_names(__name__)

    def __getattr__(name):
        """Load a public name when it is first used."""
        if name == "__version__":
            from lensdask.version import code_version

            return code_version()
        return _load(name)


__all__ = [
    "InputError",
    "RunOptions",
    "__version__",
    "lss",
    "maps",
    "massmap",
    "open",
    "reproduce",
    "shear",
    "sky",
    "start_cluster",
    "stats",
    "stronglens",
    "write",
]
