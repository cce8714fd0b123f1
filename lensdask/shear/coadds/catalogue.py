"""Calibrated catalogues of shear: a table for everybody's tools, from measured shapes."""

import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr
from astropy.table import Table

from lensdask.compute import RunOptions
from lensdask.data import SHAPES, write
from lensdask.data import open as open_store
from lensdask.data.tables import read_columns
from lensdask.errors import InputError
from lensdask.shear.calibration.detection import DETECTION, DetectionWeights, detection_columns
from lensdask.shear.calibration.estimate import Calibration, Weights, calibrate, weights_of
from lensdask.shear.calibration.selection import Selection
from lensdask.shear.calibration.shape_sums import weights_with_response
from lensdask.shear.coadds.coadd import cutouts, read_coadd
from lensdask.shear.coadds.detection import detect
from lensdask.shear.coadds.psf import read_psf_file
from lensdask.shear.runs import measure_run
from lensdask.shear.shapes.measurement import COLUMNS

__all__ = ["FORMATS", "catalogue_of_coadd", "to_catalogue"]

Float64 = npt.NDArray[np.float64]

FORMATS = {".fits": "fits", ".parquet": "parquet", ".ecsv": "ascii.ecsv"}
"""What files are written as, by the end of their names."""


def to_catalogue(
    shapes: xr.Dataset,
    path: str | Path | None = None,
    *,
    selection: Selection | None = None,
    weights: Weights = None,
    overwrite: bool = False,
) -> Table:
    """Return a calibrated catalogue of shear, and write it.

    The weighted mean of (g1, g2) over all galaxies is the calibrated shear of the sample,
    ``g = R^-1 <w e>``: each galaxy has ``g = R^-1 e`` with the mean response R of the sample, those of cut and weights
    included. A single g is no measurement of the shear of its galaxy. Other samples, such as tomographic bins, have
    other mean responses: calibrate each for itself, ``g = R^-1 sum(w e) / sum(w)`` with R = sum(wR) / sum(w) over its
    rows, where ``wR11`` to ``wR22`` hold what a galaxy adds to the response, ``w de_i/dg_j + e_i dw/dg_j``.

    Parameters
    ----------
    shapes
        Dataset of the shapes schema, without a ``shear`` dimension.
    path
        FITS, Parquet or ECSV, told by the end of the name; nothing is written when not given.
    selection, weights
        As for `lensdask.shear.calibrate`. Galaxies that are cut stay in the table with weight 0.
    overwrite
        Replace an existing file.

    Returns
    -------
    Table
        Columns ``galaxy``, those that came with the stamps (ra, dec, …), ``g1``, ``g2``, ``weight``, which holds all
        weights, ``wR11`` to ``wR22``, and the measured columns of the schema. Its ``meta`` has the response and the
        shear of the sample.

    Raises
    ------
    InputError
        The shapes cannot be calibrated, or the file exists or has another ending.
    """
    if path is not None:
        _check_path(Path(path), overwrite)
    shapes = shapes.load()
    weighing = weights_of(shapes, weights)
    found = calibrate(shapes, selection, weights=weighing)
    detected = detection_columns(shapes)
    columns = [*(shapes[name] for name in COLUMNS), *detected]
    measured = np.stack([np.asarray(column.values, np.float64) for column in columns], axis=-1)
    weight, dw = weights_with_response(measured, selection, weighing, DetectionWeights() if detected else None)
    g = np.linalg.solve(found.response, measured[:, :2].T)
    # Columns of the user, which keep their own types.
    others = SHAPES.columns_of(shapes)
    table = Table({"galaxy": shapes["galaxy"].values} | {str(name): others[name].values for name in others.variables})
    for name, values in {"g1": g[0], "g2": g[1], "weight": weight}.items():
        table[name] = values
    for i, j in product((0, 1), (0, 1)):
        own = measured[:, COLUMNS.index(f"de{i + 1}_dg{j + 1}")]
        table[f"wR{i + 1}{j + 1}"] = weight * own + measured[:, i] * dw[:, j]
    for name in COLUMNS[:-1]:
        table[name] = np.asarray(shapes[name].values)
        table[name].description = SHAPES.variables[name].meaning
    table.meta = _meta(shapes, found)
    if path is not None:
        _write(table, Path(path))
    return table


def catalogue_of_coadd(
    coadd: str | Path,
    path: str | Path,
    *,
    psf: str | Path,
    objects: str | Path | None = None,
    snr: float = 10.0,
    estimator: str | Path = "d4cnn-wide",
    zero_point: float | None = None,
    size: int = 64,
    weights: Weights = None,
    options: RunOptions | None = None,
) -> Table:
    """Measure a calibrated catalogue on a coadd: detection, stamps, shapes about their centroids, calibration.

    Parameters
    ----------
    coadd, zero_point
        As for `read_coadd`.
    path
        Table to write, see `to_catalogue`.
    psf
        FITS image of the PSF.
    objects
        Table with columns ``ra`` and ``dec``, degrees. What somebody has found depends on the shear, which biases the
        mean shear by some per cent; none for `detect`, which counts that in.
    snr
        Least S/N of what is detected, see `detect`.
    estimator
        As for `lensdask.shear.measure`; the network that learned from galaxies with neighbours when not given.
    size
        Side of a stamp in pixels.
    weights
        As for `to_catalogue`.
    options
        Cluster and device of the measurement; it cannot be resumed.

    Raises
    ------
    InputError
        Some input is not acceptable, or the table exists.
    """
    options, path = options or RunOptions(), Path(path)
    if options.if_exists == "resume":
        raise InputError(f"{path}: a catalogue is not resumed; expected a new name, or to overwrite it")
    _check_path(path, options.if_exists == "overwrite")
    listed = None if objects is None else read_columns(objects, ["ra", "dec"], "objects with ra and dec")
    image = read_coadd(coadd, zero_point=zero_point)
    response = read_psf_file(psf, image.pixel_scale)
    found = detect(image, response, snr=snr) if listed is None else listed
    columns = {name: found[name] for name in ("snr", *DETECTION)} if listed is None else {}
    stamps = cutouts(image, found["ra"], found["dec"], response, size=size, columns=columns)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        write(stamps, Path(folder) / "stamps.zarr")
        shapes = Path(folder) / "shapes.zarr"
        run = measure_run(Path(folder) / "stamps.zarr", shapes, estimator=estimator, recentre=True, options=options)
        if run.quarantined:
            raise InputError(
                f"{coadd}: {len(run.quarantined)} chunks of its stamps cannot be measured; nothing is written"
            )
        table = to_catalogue(open_store(shapes), weights=weights)
    _write(table, path)
    return table


def _write(table: Table, path: Path) -> None:
    """Write a table whole, in place of an older one."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        table.write(partial, format=FORMATS[path.suffix], overwrite=True)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _check_path(path: Path, overwrite: bool) -> None:
    if path.suffix not in FORMATS:
        raise InputError(f"{path}: expected a name that ends in {', '.join(FORMATS)}")
    if path.exists() and not overwrite:
        raise InputError(f"{path}: exists; expected a new name, or to overwrite it")
    if not path.parent.is_dir():
        raise InputError(f"{path}: no folder {path.parent}; expected one that exists")


def _meta(shapes: xr.Dataset, found: Calibration) -> dict[str, str | float]:
    """Return what the table says of itself, in names that FITS takes."""
    response = {f"R{i + 1}{j + 1}": float(found.response[i, j]) for i in (0, 1) for j in (0, 1)}
    mean = {name: float(value) for name, value in zip(("MEANG1", "MEANG2"), found.g, strict=True)}
    errors = {name: float(value) for name, value in zip(("ERRG1", "ERRG2"), found.errors, strict=True)}
    return {"ESTIM": str(shapes.attrs["estimator"]), "SCHEMA": SHAPES.name} | response | mean | errors
