"""Whether maps that are unlike the simulations are noticed: stronger noise, and skies of particles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lensdask.compute import Row, row
from lensdask.data import open as open_store
from lensdask.lss.features import power_features
from lensdask.lss.inference.trust.coverage import uniformity
from lensdask.lss.inference.trust.novelty import Novelty
from lensdask.lss.parameters import BINS
from lensdask.lss.simulation import simulate_run
from lensdask.lss.spectra_run import spectra_run
from lensdask.reproduce.deeplss.study import Study
from lensdask.reproduce.experiment import Job, Outcome, on_cluster
from lensdask.sky.nbody.box import NbodyBox

__all__ = ["FLAGGED", "novelties"]

Float64 = npt.NDArray[np.float64]

FLAGGED = 1e-2
"""p-value below which a mock is said to be unlike the simulations."""

_STRONGER = 1.3
"""Shape noise over that of the simulations."""

_PARTICLES = {"tiny": NbodyBox(16, 200.0, 3), "small": NbodyBox(), "paper": NbodyBox(256, 500.0, 40)}
_BOXES = {"tiny": 1, "small": 2, "paper": 57}
_NBODY_TILES = {"tiny": 2, "small": 200, "paper": 1000}


def novelties(job: Job) -> Outcome:
    """Return how often mocks are flagged: of the simulations, with stronger noise, and of N-body skies."""
    with on_cluster(job) as running:
        study = Study.of(running)
        known = Novelty(_features(study.spectra("large", "likelihood")), study.seed)
        mocks = {
            "mocks of the simulations": _features(study.spectra("large", "calibration")),
            f"shape noise x {_STRONGER}": _noisier(study),
            "N-body skies": _features(_of_particles(study, job.size)),
        }
        p_values = {name: known.p_value(features) for name, features in mocks.items()}
    rows: list[Row] = []
    for name, p in p_values.items():
        rate = float((p < FLAGGED).mean())
        error = max(rate * (1 - rate) / len(p), 1.0 / len(p) ** 2) ** 0.5
        rows.append(row(f"share of mocks with p < {FLAGGED:g}", rate, error, series=name, n=len(p)))
        places, counts = np.unique(p, return_counts=True)
        rows += [
            row("share of mocks with no higher p-value", float(share), series=name, x=float(value))
            for value, share in zip(places, counts.cumsum() / len(p), strict=True)
        ]
    first = next(iter(p_values.values()))
    rows.insert(0, row("p-value of uniform p-values of mocks of the simulations", uniformity(first), n=len(first)))
    return Outcome(rows, sum(map(len, p_values.values())))


def _features(spectra: Path) -> Float64:
    """Return the features of a store of spectra of both probes."""
    signed = open_store(spectra)["signed"].to_numpy().astype(np.float64)
    return np.asarray(power_features(signed, 2 * BINS))


def _noisier(study: Study) -> Float64:
    """Return the features of the calibration mosaics with stronger shape noise."""
    mosaics, model = study.sets["calibration"], study.model("large")
    noisy = replace(model, sigma_e=_STRONGER * model.sigma_e)
    path = study.directory / "spectra" / "large-noisier.zarr"
    spectra_run(
        study.tiles(mosaics.tiles),
        path,
        noisy,
        samples=mosaics.count,
        split=mosaics.split,
        first=mosaics.first,
        seed=study.seed,
        options=study.options,
    )
    features = _features(path)
    # Who does not know of the noise scales the convergence as ever.
    half = features.shape[1] // 2
    features[:, :half] += 2 * np.log(model.convergence_scale / noisy.convergence_scale)
    return features


def _of_particles(study: Study, size: str) -> Path:
    """Return the spectra of mosaics of N-body skies."""
    tiles, path = study.directory / "nbody.zarr", study.directory / "spectra" / "large-nbody.zarr"
    simulate_run(
        tiles,
        sky="nbody",
        cosmologies=f"calibration:{_BOXES[size]}",
        seeds=1,
        tiles=_NBODY_TILES[size],
        seed=study.seed,
        box=_PARTICLES[size],
        options=study.options,
    )
    spectra_run(
        tiles,
        path,
        study.model("large"),
        samples=study.sets["calibration"].count,
        split="test",
        seed=study.seed,
        options=study.options,
    )
    return path
