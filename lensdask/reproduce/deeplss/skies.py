"""What DeepLSS says of its simulations: the parameters, the redshifts, the maps, the galaxies that leave the matter."""

import numpy as np
import numpy.typing as npt

from lensdask.compute import Row, row
from lensdask.lss.forward.galaxies import correlation, phase_amplitude, turned_phases
from lensdask.lss.forward.model import SMOOTHING
from lensdask.lss.forward.smoothing import smoothed_tiles
from lensdask.lss.parameters import BINS, FIELDS, PARAMETERS
from lensdask.reproduce.deeplss.published import MEAN_REDSHIFTS, TABLE1
from lensdask.reproduce.experiment import Job, Outcome
from lensdask.reproduce.massmaps.fields import image
from lensdask.sky.tomography.cosmologies import FIDUCIAL, SIGMA8, grid_cosmologies, tomography_cosmology
from lensdask.sky.tomography.redshifts import REDSHIFTS, STAGE3_BINS
from lensdask.sky.tomography.tiles import TileGrid, tomographic_tiles

__all__ = ["parameters", "redshifts", "stochasticity", "tiles"]

Float64 = npt.NDArray[np.float64]

_TILES = {"tiny": 2, "small": 200, "paper": 2000}
"""Tiles of which the maps are looked at."""

_R = np.linspace(0.4, 1.0, 13)


def parameters(_job: Job) -> Outcome:
    """Return Table I: ends of the priors, and the fiducial values."""
    ours = {name: (one.low, one.high, one.fiducial) for name, one in PARAMETERS.items()}
    known = ours | {"sigma8": (*SIGMA8, FIDUCIAL[1])}
    kinds = ("least value", "largest value", "fiducial value")
    rows = [
        row(kind, value, series=name, published=printed)
        for name, values in TABLE1.items()
        for kind, value, printed in zip(kinds, known[name], values, strict=True)
    ]
    grid = grid_cosmologies()
    cosmologies = [
        row("sigma8 of a simulated cosmology", sigma8, series="simulated cosmologies", x=omega_m)
        for omega_m, sigma8 in grid
    ]
    return Outcome(rows + cosmologies, len(grid))


def redshifts(_job: Job) -> Outcome:
    """Return figure 7: the redshift distributions of the bins."""
    rows = [
        row("mean redshift", mean, series=f"bin {number}", published=printed)
        for number, (mean, printed) in enumerate(zip(STAGE3_BINS.mean, MEAN_REDSHIFTS, strict=True), 1)
    ]
    curves = [
        row("n(z)", value, series=f"bin {number}", x=float(z))
        for number, density in enumerate(STAGE3_BINS.n_of_z, 1)
        for z, value in zip(REDSHIFTS[::2], density[::2], strict=True)
    ]
    return Outcome(rows + curves, BINS)


def _fiducial_tiles(job: Job) -> npt.NDArray[np.float32]:
    """Return noise-free tiles of the fiducial cosmology, shape (tile, field, bin, y, x)."""
    made = tomographic_tiles(range(_TILES[job.size]), tomography_cosmology(*FIDUCIAL), seed=job.seed)
    return np.asarray(made, dtype=np.float32)


def tiles(job: Job) -> Outcome:
    """Return figure 1: maps of convergence and of matter, smoothed as the paper smooths them."""
    maps = _fiducial_tiles(job)
    rows: list[Row] = []
    images: list[Row] = []
    for name, scale in (("kappa", 4.0), ("delta", 8.0)):
        field = maps[:, FIELDS.index(name)].swapaxes(0, 1)[None]
        smoothed = smoothed_tiles(field, SMOOTHING[scale], TileGrid().pixel_scale)[0]
        for number, one in enumerate(smoothed, 1):
            scatter = one.astype(np.float64).std(axis=(1, 2))
            label = f"{name}, bin {number}"
            error = scatter.std(ddof=1) / len(scatter) ** 0.5
            rows.append(row("standard deviation of a tile", scatter.mean(), error, series=label, n=len(scatter)))
            images.append(image(label, one[0], TileGrid().pixel_scale))
    return Outcome(rows + images, len(maps))


def stochasticity(job: Job) -> Outcome:
    """Return figure 8: the correlation of galaxies with matter against the parameter r_g."""
    delta = _fiducial_tiles(job)[:, FIELDS.index("delta")]
    delta = delta - delta.mean(axis=(2, 3), keepdims=True)
    ids = np.arange(len(delta), dtype=np.int64)
    rows: list[Row] = []
    for kind in ("printed", "exact"):
        for r in _R:
            turned = turned_phases(delta, np.full(len(delta), phase_amplitude(r, kind)), ids, job.seed)
            found = _correlations(delta, turned)
            error = found.std(ddof=1) / len(found) ** 0.5
            label = f"{kind}, measured"
            rows.append(row("correlation with matter", found.mean(), error, series=label, x=float(r), n=len(found)))
        rows += [
            row("correlation with matter", float(correlation(phase_amplitude(r, kind))), series=kind, x=float(r))
            for r in _R
        ]
    return Outcome(rows, len(delta))


def _correlations(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> Float64:
    """Return the mean over the bins of the correlation of the pixels of two maps, shape (tile,)."""
    product, first, second = (
        np.mean(a.astype(np.float64) * b, axis=(2, 3)) for a, b in ((one, other), (one, one), (other, other))
    )
    return np.asarray((product / np.sqrt(first * second)).mean(axis=1), dtype=np.float64)
