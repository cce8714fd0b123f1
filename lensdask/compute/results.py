"""Result files, and what they say of the run that made them."""

import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lensdask.version import code_version

__all__ = ["Row", "number", "recorded", "row", "run_record", "write_json", "write_result"]

Row = dict[str, Any]
"""One number of a result file, beside the published one."""

_RECORDED = ("torch", "dask", "distributed", "numpy", "galsim", "zarr", "xarray")


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
    versions = {"python": platform.python_version(), "lensdask": code_version()}
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


def row(
    quantity: str,
    measured: float,
    error: float | None = None,
    *,
    unit: str = "1",
    published: float | None = None,
    published_error: float | None = None,
    comparable: bool = False,
    **more: Any,
) -> Row:
    """Return a row of a result file.

    Parameters
    ----------
    quantity
        What was measured.
    measured, error
        Value and statistical error; no error where neither noise nor sampling enters. What is not finite becomes null:
        JSON has no NaN.
    unit
        Unit of all values of the row.
    published, published_error
        What the paper prints, if it does.
    comparable
        Whether the two values constrain each other.
    **more
        ``series`` and ``x``, the curve of the figure and the place on it; ``n``, the number of galaxies; others.
    """
    return {
        "quantity": quantity,
        "published": published,
        "published_error": published_error,
        "measured": _finite(measured),
        "error": _finite(error),
        "unit": unit,
        "comparable": comparable,
        **more,
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def recorded(path: Path, result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a result file holds if it is this result but for the entry "run"; none otherwise.

    A finished run that is resumed computes nothing: where its result is on record, so are its times.
    """
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    # Through JSON, which keeps lists but no tuples.
    wanted = json.loads(json.dumps(result)) | {"run": None}
    return found if isinstance(found, dict) and found | {"run": None} == wanted else None


def write_result(path: Path, result: Mapping[str, Any], *, computed: bool) -> dict[str, Any]:
    """Write a result file, unless it is on record and this call computed nothing; return what is in it.

    Parameters
    ----------
    path
        The file, ``result.json``.
    result
        Its content; ``run`` says how long the run took.
    computed
        Whether this call computed anything.
    """
    known = None if computed else recorded(path, result)
    if known is None:
        write_json(path, result)
    return known or dict(result)
