"""Figure 6 and section 5: shape noise of the network beside FPFS, and what a measurement costs in time."""

from itertools import product

import numpy as np

from lensdask.compute import describe_device
from lensdask.conventions import LSST_Y10_NOISE
from lensdask.data import load_card
from lensdask.reproduce.d4cnn_biases import NOISES, compared, outcome_of
from lensdask.reproduce.d4cnn_networks import network
from lensdask.reproduce.d4cnn_published import MS_PER_GALAXY, SHAPE_NOISE_RATIO, TRAINING_SECONDS
from lensdask.reproduce.experiment import Job, Outcome, Row, on_cluster, row
from lensdask.shear.comparison import Comparison
from lensdask.shear.demo import milliseconds_per_galaxy
from lensdask.shear.measurement import find_estimator
from lensdask.shear.simulate import Observation

__all__ = ["FPFS_SCAN", "shape_noise", "speed"]

MAGNITUDE_LIMIT = 24.5
"""Galaxies of Figure 6 are brighter than this in i."""

FPFS_SCAN = tuple(f"fpfs:{sigma:.2f},{C:g}" for sigma, C in product((0.40, 0.52, 0.64, 0.76, 0.88), (4, 16, 64)))
"""Settings among which the best of FPFS is looked for: scale in arcsec, and weighting constant."""

_GALAXIES = {"tiny": 8, "small": 3_000, "paper": 1_000_000}
_STAMPS = {"tiny": 16, "small": 256, "paper": 4_096}
_REPEATS = 5


def _mean_noise(found: Comparison, estimator: str) -> float:
    """Return the shape noise of an estimator, mean of both components."""
    return float(found.bias(estimator).values[4:].mean())


def shape_noise(job: Job) -> Outcome:
    """Measure the shape noise of the network and of FPFS against image noise, on the same galaxies (Figure 6).

    The best FPFS is chosen on the galaxies on which it is then measured, which favours it a little.
    """
    galaxies = _GALAXIES[job.size]
    scan = FPFS_SCAN[::6] if job.size == "tiny" else FPFS_SCAN
    name = network(job, "d4cnn-fpfs")
    rows: list[Row] = []
    comparisons = []
    with on_cluster(job) as job:
        for sigma in NOISES[:: 6 if job.size == "tiny" else 1]:
            found = compared(
                job,
                f"noise-{sigma:g}",
                galaxies=galaxies,
                estimators=[name, "fpfs", *scan],
                observation=Observation(noise_sigma=sigma),
                magnitude_limit=MAGNITUDE_LIMIT,
            )
            best = min(("fpfs", *scan), key=lambda settings: _mean_noise(found, settings))
            rows += _noise_rows(found, {"D4CNN": name, "FPFS": "fpfs", "best FPFS": best}, sigma, galaxies)
            ratios = _ratio_rows(found, name, best, sigma, galaxies)
            rows += ratios
            comparisons.append(found)
    # The ratios at the noise of the survey, the last, are the result.
    summary = [{key: value for key, value in r.items() if key != "x"} for r in ratios]
    return outcome_of(summary + rows, comparisons)


def _noise_rows(found: Comparison, names: dict[str, str], sigma: float, galaxies: int) -> list[Row]:
    rows = []
    for series, estimator in names.items():
        bias = found.bias(estimator)
        rows += [
            row(
                f"shape_noise_{i + 1}",
                bias.values[4 + i],
                bias.errors[4 + i],
                series=series,
                x=sigma,
                n=galaxies,
                estimator=estimator if estimator.startswith("fpfs") else "network",
            )
            for i in (0, 1)
        ]
    return rows


def _ratio_rows(found: Comparison, name: str, best: str, sigma: float, galaxies: int) -> list[Row]:
    """Return the shape noise of the network over that of FPFS."""
    rows = []
    printed = SHAPE_NOISE_RATIO if sigma == LSST_Y10_NOISE else None
    for series, reference, published in (("D4CNN / FPFS", "fpfs", printed), ("D4CNN / best FPFS", best, None)):
        value, error = found.shape_noise_ratio(name, reference)
        quantity = f"ratio of shape noise at noise {sigma:g}"
        rows.append(
            row(quantity, value, error, published=published, series=series, x=sigma, n=galaxies, reference=reference)
        )
    return rows


def speed(job: Job) -> Outcome:
    """Time the measurement of shape, flux and responses, and look up how long the network was trained (section 5)."""
    stamps = _STAMPS[job.size]
    name = network(job, "d4cnn")
    card = load_card(str(find_estimator(name).path))
    devices = dict.fromkeys(("cpu", job.device_here))
    rows = [_cost("D4CNN", name, device, stamps) for device in devices]
    rows.append(_cost("FPFS", "fpfs", "cpu", stamps))
    rows.append(
        row(
            "training time",
            card["wall_s"],
            unit="s",
            published=TRAINING_SECONDS,
            series="D4CNN",
            device=card["machine"],
            n=card["recipe"]["galaxies"],
        )
    )
    return Outcome(rows, stamps * _REPEATS * (len(rows) - 1))


def _cost(series: str, estimator: str, device: str, stamps: int) -> Row:
    """Return the time that one galaxy takes on one core or on a GPU."""
    costs = [milliseconds_per_galaxy(estimator, stamps, device) for _ in range(_REPEATS)]
    where = "one CPU core" if device == "cpu" else "a GPU"
    return row(
        f"measurement of a galaxy on {where}",
        float(np.median(costs)),
        float(np.std(costs, ddof=1)) / _REPEATS**0.5,
        unit="ms",
        published=MS_PER_GALAXY if series == "D4CNN" else None,
        series=series,
        device=describe_device(device),
        n=stamps,
    )
