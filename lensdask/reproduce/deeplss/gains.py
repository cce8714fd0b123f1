"""Table II: how much narrower the posteriors of fiducial mocks are with a network of maps than with spectra."""

import numpy as np
import numpy.typing as npt

from lensdask.compute import Row, row
from lensdask.random import Stream, generator
from lensdask.reproduce.deeplss.posteriors import FiducialMocks, fiducial_mocks
from lensdask.reproduce.deeplss.published import COLUMNS, TABLE2
from lensdask.reproduce.deeplss.study import Analysis, Study
from lensdask.reproduce.experiment import Job, Outcome, on_cluster

__all__ = ["gains", "median_ratio"]

Float64 = npt.NDArray[np.float64]

_MERIT = "figure of merit"
_RESAMPLED = 400


def median_ratio(numerator: Float64, denominator: Float64) -> tuple[float, float]:
    """Return the median over mocks of a ratio, and its error by the bootstrap; both of shape (mock,)."""
    ratio = numerator / denominator
    chosen = generator(0, Stream.CHAIN, 2**62 + 3).integers(len(ratio), size=(_RESAMPLED, len(ratio)))
    return float(np.median(ratio)), float(np.median(ratio[chosen], axis=1).std(ddof=1))


def gains(job: Job) -> Outcome:
    """Return Table II against both kinds of cross spectra, and what the sign of the cross spectra alone is worth."""
    rows, objects = [], 0
    with on_cluster(job) as running:
        study = Study.of(running)
        for probe, scales in COLUMNS:
            found = {
                summary: fiducial_mocks(study, Analysis(probe, scales, summary))
                for summary in ("network", "signed", "modulus")
            }
            rows += _column(probe, scales, found, study.plan.network_name)
            objects += len(found["network"].usable)
        merits = {
            probe: fiducial_mocks(study, Analysis(probe, "large", "network"))
            for probe in ("lensing", "clustering", "combined")
        }
        rows += _combination(merits)
    return Outcome(rows, objects)


def _column(probe: str, scales: str, found: dict[str, FiducialMocks], network: str) -> list[Row]:
    """Return the rows of one column: ratios of the widths of the posteriors of the same mocks."""
    usable = np.logical_and.reduce([one.usable for one in found.values()])
    pairs = (("network", "signed", network), ("network", "modulus", network), ("signed", "modulus", "signed spectra"))
    printed = TABLE2[probe, scales]
    rows = []
    for better, worse, name in pairs:
        series = f"{probe}, {scales} scales: {name} over {worse} spectra"
        for quantity in printed:
            ratio, error = _ratio(quantity, found[better], found[worse], usable)
            rows.append(
                row(
                    f"gain in {quantity}",
                    ratio,
                    error,
                    published=printed[quantity] if better == "network" else None,
                    series=series,
                    n=int(usable.sum()),
                )
            )
    return rows


def _ratio(
    quantity: str, better: FiducialMocks, worse: FiducialMocks, usable: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    if quantity == _MERIT:
        return median_ratio(better.merit[usable], worse.merit[usable])
    column = better.names.index(quantity)
    return median_ratio(worse.scatter[usable, column], better.scatter[usable, column])


def _combination(found: dict[str, FiducialMocks]) -> list[Row]:
    """Return what both probes together gain over each alone."""
    usable = np.logical_and.reduce([one.usable for one in found.values()])
    rows = []
    for probe in ("lensing", "clustering"):
        ratio, error = median_ratio(found["combined"].merit[usable], found[probe].merit[usable])
        series = f"both probes over {probe} alone, large scales"
        rows.append(row(f"gain in {_MERIT}", ratio, error, series=series, n=int(usable.sum())))
    return rows
