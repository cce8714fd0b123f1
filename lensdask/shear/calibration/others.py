"""Calibrated shear from the tables of other pipelines, with the response of everything that responds to shear.

Each kind of table has its own way to the response of its mean ellipticity. To forget a part of it is the usual mistake.

anacal
    ``R = <w de/dg + e dw/dg>`` of the selection weight w, whose response is that of detection and cuts.
metadetect
    Detected and measured again on images sheared by ±0.01, all steps in one table:
    ``R = (<g>(+) - <g>(-)) / 0.02`` of the means of their own objects.
metacalibration
    Measured again, not detected again: ``R = <w R_object>``, and what a cut adds to it has to be given.
lensfit
    Multiplicative and additive biases from simulations: ``g = (e - c) / (1 + <w m>)``.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from lensdask.data.catalogues.columns import as_numbers
from lensdask.errors import InputError, check_choice

__all__ = ["KINDS", "calibrated_table"]

Float64 = npt.NDArray[np.float64]

STEP = 0.01
"""Shear of the images of metadetect."""

STEPS = {"ns": ("ns", "noshear"), "1p": ("1p",), "1m": ("1m",), "2p": ("2p",), "2m": ("2m",)}
"""What tables call the steps of metadetect."""


def _weighted(values: Float64, weight: Float64) -> Float64:
    return np.asarray((values * weight).sum(-1) / weight.sum())


def _with_response(e: Float64, response: Float64) -> Float64:
    try:
        return np.asarray(np.linalg.solve(response, e), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise InputError("table: its mean response has no inverse; expected shapes that respond to shear") from error


def _anacal(c: Mapping[str, Float64]) -> tuple[Float64, ...]:
    e, w = np.stack([c["e1"], c["e2"]]), c["weight"]
    of_shape = np.stack([c["de1_dg1"], c["de2_dg2"]]) * w
    of_weight = e * np.stack([c["dw_dg1"], c["dw_dg2"]])
    response = np.diag((of_shape + of_weight).sum(-1) / w.sum())
    return _with_response(e, response), response, w


def _metadetect(c: Mapping[str, Any]) -> tuple[Float64, ...]:
    g, w, step = np.stack([c["e1"], c["e2"]]), c.get("weight", np.ones(len(c["e1"]))), c["step"].astype(str)
    rows = {name: np.isin(step, names) for name, names in STEPS.items()}
    for name, found in rows.items():
        if not found.any():
            raise InputError(f"table: no objects of step {name}; expected the five steps {', '.join(STEPS)}")
    mean = {name: _weighted(g[:, found], w[found]) for name, found in rows.items()}
    response = np.stack([(mean[f"{j}p"] - mean[f"{j}m"]) / (2 * STEP) for j in (1, 2)], axis=-1)
    return _with_response(g, response), response, np.where(rows["ns"], w, 0.0)


def _metacalibration(c: Mapping[str, Float64]) -> tuple[Float64, ...]:
    e, w = np.stack([c["e1"], c["e2"]]), c.get("weight", np.ones(len(c["e1"])))
    names = (("R11", "R12"), ("R21", "R22"))
    response = np.array([[float(_weighted(c[name], w)) for name in row] for row in names]) + c["selection"]
    return _with_response(e, response), response, w


def _lensfit(c: Mapping[str, Float64]) -> tuple[Float64, ...]:
    w, none = c["weight"], np.zeros(len(c["e1"]))
    e = np.stack([c["e1"] - c.get("c1", none), c["e2"] - c.get("c2", none)])
    response = np.eye(2) * (1 + float(_weighted(c["m"], w)))
    return _with_response(e, response), response, w


KINDS: Mapping[str, tuple[Mapping[str, str], frozenset[str], Callable[[Mapping[str, Any]], tuple[Float64, ...]]]] = {
    "anacal": (
        {
            "ra": "ra",
            "dec": "dec",
            "weight": "wsel",
            "dw_dg1": "dwsel_dg1",
            "dw_dg2": "dwsel_dg2",
            **{name: f"fpfs1_{name}" for name in ("e1", "e2", "de1_dg1", "de2_dg2")},
        },
        frozenset(),
        _anacal,
    ),
    "metadetect": (
        {"ra": "ra", "dec": "dec", "e1": "gauss_g1", "e2": "gauss_g2", "step": "metaStep", "weight": "weight"},
        frozenset({"weight"}),
        _metadetect,
    ),
    "metacalibration": (
        {
            "ra": "ra",
            "dec": "dec",
            "e1": "e_1",
            "e2": "e_2",
            "weight": "weight",
            **{name: name for name in ("R11", "R12", "R21", "R22")},
        },
        frozenset({"weight"}),
        _metacalibration,
    ),
    "lensfit": (
        {"ra": "ra", "dec": "dec", **{name: name for name in ("e1", "e2", "weight", "m", "c1", "c2")}},
        frozenset({"c1", "c2"}),
        _lensfit,
    ),
}
"""Columns of each kind of table, those that it may lack, and the way from them to shear, response and weight."""


def calibrated_table(
    table: Table | str | Path,
    kind: str,
    *,
    columns: Mapping[str, str] | None = None,
    selection_response: npt.ArrayLike | None = None,
) -> Table:
    """Return the calibrated shear of a table of another pipeline.

    Parameters
    ----------
    table
        A table, or a file that Astropy reads: FITS, Parquet, HDF5, ECSV.
    kind
        ``anacal``, ``metadetect``, ``metacalibration`` or ``lensfit``, see `lensdask.shear.calibration.others`.
    columns
        Names of columns where they are others than those of `KINDS`, such as ``{"e1": "fpfs_e1"}``.
    selection_response
        What the cuts of a metacalibration table add to its response, shape (2, 2), from its sheared catalogues. It has
        to be given, zero where nothing was cut.

    Returns
    -------
    Table
        ``ra``, ``dec``, ``g1``, ``g2`` and ``weight`` of the objects that are galaxies of the unsheared image and have
        a weight: the weighted mean of g is the shear of the sample. Signs are those of the table. ``meta`` has the
        response.

    Raises
    ------
    InputError
        The kind is unknown, or the table cannot be read, lacks columns, or has no response.
    """
    check_choice("kind", kind, KINDS)
    names, optional, calibrate = KINDS[kind]
    where = "table" if isinstance(table, Table) else str(table)
    found = _columns(_read(table), where, dict(names) | dict(columns or {}), optional)
    if kind == "metacalibration":
        if selection_response is None:
            raise InputError("selection_response: not given; expected that of the cuts, zero where nothing was cut")
        found["selection"] = np.broadcast_to(np.asarray(selection_response, dtype=np.float64), (2, 2))
    elif selection_response is not None:
        raise InputError(f"selection_response: given for {kind}, whose columns have it; expected none")
    g, response, weight = calibrate(found)
    rows = weight != 0
    if not rows.any():
        raise InputError(f"{where}: no object has a weight; expected some")
    made = Table({"ra": found["ra"], "dec": found["dec"], "g1": g[0], "g2": g[1], "weight": weight})[rows]
    made.meta = {"KIND": kind} | {f"R{i + 1}{j + 1}": float(response[i, j]) for i in (0, 1) for j in (0, 1)}
    return made


def _read(table: Table | str | Path) -> Table:
    if isinstance(table, Table):
        return table
    try:
        return Table.read(table)
    except Exception as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise InputError(f"{table}: {reason[0]}; expected a table that Astropy reads") from error


def _columns(table: Table, where: str, names: Mapping[str, str], optional: frozenset[str]) -> dict[str, Any]:
    """Return the columns that are there, without rows that lack a number."""
    lacking = [name for role, name in names.items() if name not in table.colnames and role not in optional]
    if lacking:
        raise InputError(f"{where}: no column {', '.join(lacking)}; expected it, or its name in columns")
    present = {role: table[name] for role, name in names.items() if name in table.colnames}
    units = {"ra": "deg", "dec": "deg"}
    found: dict[str, Any] = {
        role: as_numbers(f"{where}: column {names[role]}", column, units.get(role, ""))
        for role, column in present.items()
        if role != "step"
    }
    whole = ~np.logical_or.reduce([np.ma.getmaskarray(column) for column in found.values()])
    kept = {role: column.data[whole] for role, column in found.items()}
    for role, values in kept.items():
        if not np.isfinite(values).all():
            raise InputError(f"{where}: column {names[role]} is not finite; expected numbers")
    steps = {"step": np.asarray(present["step"])[whole]} if "step" in present else {}
    return kept | steps
