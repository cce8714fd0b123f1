"""Result files, and what they say of the run that made them."""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["number", "run_record", "write_json"]

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


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(json.dumps(content, indent=2) + "\n")
        partial.replace(path)
    except OSError as error:
        # A full disk, for one; the system does not say which file did not fit.
        partial.unlink(missing_ok=True)
        error.filename = str(path)
        raise


def number(value: float | None, error: float | None) -> str:
    """Return a value with its error as a cell of a table; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:+.2e}" + ("" if error is None else f" ± {error:.1e}")
