"""Figure 6: where the network of maps looks for intrinsic alignment and for S₈."""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

from lensdask.compute import Row, row, torch_settings
from lensdask.lss.compressor import find_compressor
from lensdask.lss.forward.samples import draw_samples
from lensdask.lss.parameters import BINS
from lensdask.lss.sensitivity_maps import Sensitivity, sensitivity
from lensdask.lss.tiles import open_split, open_tiles
from lensdask.reproduce.deeplss.study import Analysis, Study
from lensdask.reproduce.experiment import Job, Outcome, on_cluster
from lensdask.reproduce.massmaps.fields import image

__all__ = ["rank_correlations", "sensitivities"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_MOSAICS = {"tiny": 2, "small": 64, "paper": 64}
"""Fiducial mocks that are looked at."""

_AT_ONCE = 8

PANELS = (("a_ia", 0, 0), ("s8", 1, 3))
"""Parameter, and bins of convergence and counts, from 0: those of the figure, which has σ₈ in place of S₈."""


def rank_correlations(first: npt.ArrayLike, second: npt.ArrayLike) -> Float64:
    """Return Spearman's rank correlation of the pixels of pairs of maps, shape (map,), for maps (map, y, x)."""
    ranks = [rankdata(np.reshape(each, (len(each), -1)), axis=1) for each in map(np.asarray, (first, second))]
    centred = [each - each.mean(axis=1, keepdims=True) for each in ranks]
    product = (centred[0] * centred[1]).mean(axis=1)
    return np.asarray(product / (centred[0].std(axis=1) * centred[1].std(axis=1)))


@torch_settings()
def sensitivities(job: Job) -> Outcome:
    """Return figure 6: maps of fiducial mocks, gradients of two summaries, and whether these follow overdensities."""
    with on_cluster(job) as running:
        study = Study.of(running)
        compressor = find_compressor(study.compressor(Analysis("combined", "large", "network")))
        mosaics = study.sets["fiducial"]
        split = open_split(open_tiles(study.tiles(mosaics.tiles))[1], mosaics.split)
    count, names = min(_MOSAICS[job.size], mosaics.count), compressor.model.parameters
    samples = draw_samples(np.arange(count), split.boxes, compressor.model, study.seed, compressor.model.fiducial)
    rows: list[Row] = []
    found: dict[str, list[Float64]] = {name: [] for name, *_ in PANELS}
    for start in range(0, count, _AT_ONCE):
        part = sensitivity(compressor, split, samples.rows(slice(start, start + _AT_ONCE)), study.seed, study.device)
        for name, kappa, delta in PANELS:
            gradient = part.gradient[:, names.index(name), kappa]
            found[name].append(rank_correlations(_rows(abs(gradient)), _rows(_smooth(part.maps[:, BINS + delta]))))
        if start == 0:
            rows = _images(part, names, compressor.model.pixel_scale)
    return Outcome([*_correlations(found), *rows], count)


def _rows(maps: Float32) -> Float32:
    """Return maps of tiles, shape (sample, tile, y, x), one after another."""
    return maps.reshape(-1, *maps.shape[2:])


def _smooth(maps: Float32) -> Float32:
    """Return maps smoothed by a pixel, as the figure has them: single galaxies are noise."""
    return np.asarray(gaussian_filter(maps, (0, 0, 1.0, 1.0)))


def _correlations(found: dict[str, list[Float64]]) -> list[Row]:
    rows = []
    for name, kappa, delta in PANELS:
        values = np.concatenate(found[name])
        rows.append(
            row(
                f"rank correlation of |d {name} / d kappa {kappa + 1}| with counts in bin {delta + 1}",
                values.mean(),
                values.std(ddof=1) / len(values) ** 0.5,
                n=len(values),
            )
        )
    return rows


def _images(part: Sensitivity, names: tuple[str, ...], pixel_scale: float) -> list[Row]:
    """Return maps and gradients of one tile, each scaled to the same standard deviation."""
    rows = []
    for name, kappa, delta in PANELS:
        for channel, label in ((kappa, f"kappa {kappa + 1}"), (BINS + delta, f"counts {delta + 1}")):
            gradient = part.gradient[0, names.index(name), channel, 0]
            for title, one in ((label, _smooth(part.maps[:1, channel])[0, 0]), (f"d {name} / d {label}", gradient)):
                rows.append(image(f"{name}: {title}", _standard(one), pixel_scale))
    return rows


def _standard(one: Float32) -> Float32:
    return np.asarray(0.01 * (one - one.mean()) / max(float(one.std()), 1e-30))
