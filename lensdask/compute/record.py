"""What a result file says of the run that made it."""

import importlib.metadata
import platform
from datetime import UTC, datetime
from typing import Any

__all__ = ["run_record"]

_RECORDED = ("lensdask", "torch", "dask", "distributed", "numpy", "galsim", "zarr", "xarray")


def run_record(device: str, wall_s: float, objects: int) -> dict[str, Any]:
    """Return the entry "run" of a result file.

    Parameters
    ----------
    device
        Name of the processor.
    wall_s
        Seconds the run took.
    objects
        Objects computed in that time.
    """
    versions = {"python": platform.python_version()}
    installed = {d.name.lower() for d in importlib.metadata.distributions()}
    for name in _RECORDED:
        if name in installed:
            versions[name] = importlib.metadata.version(name)
    return {
        "versions": versions,
        "date": datetime.now(UTC).date().isoformat(),
        "device": device,
        "wall_s": wall_s,
        "objects": objects,
        "objects_per_s": objects / wall_s if wall_s > 0 else 0.0,
    }
