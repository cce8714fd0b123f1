"""Figures 2 to 5: posteriors of the most likely fiducial observation, with a network of maps and with spectra."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from lensdask.compute import Row, row
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.inference.prior import sigma8_of
from lensdask.reproduce.deeplss.posteriors import Posterior, posterior
from lensdask.reproduce.deeplss.study import Analysis, Study
from lensdask.reproduce.experiment import Job, Outcome, on_cluster

__all__ = ["CONTOURS", "SUMMARIES", "contours"]

Float64 = npt.NDArray[np.float64]

SUMMARIES = ("network", "signed", "modulus")
"""What the contours of a figure are of."""

CONTOURS: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "figure2": (("combined", "large", ("omega_m", "sigma8", "s8", "a_ia", "b_g", "r_g", "eta_ia", "eta_b")),),
    "figure3": (
        ("lensing", "large", ("omega_m", "sigma8", "s8", "a_ia", "eta_ia")),
        ("clustering", "large", ("omega_m", "sigma8", "s8", "b_g", "r_g", "eta_b")),
    ),
    "figure4": (
        ("combined", "large", ("s8", "a_ia", "eta_ia")),
        ("lensing", "large", ("s8", "a_ia", "eta_ia")),
    ),
    "figure5": (("combined", "small", ("b_g", "b_g2", "eta_b", "eta_b2")),),
}
"""Probe, scales and parameters of each panel."""

_KEPT = 1200
"""Draws that a result file keeps for its picture."""


def contours(figure: str) -> Callable[[Job], Outcome]:
    """Return the function that measures one of the figures."""

    def measure(job: Job) -> Outcome:
        rows: list[Row] = []
        with on_cluster(job) as running:
            study = Study.of(running)
            for probe, scales, names in CONTOURS[figure]:
                for summary in SUMMARIES:
                    analysis = Analysis(probe, scales, summary)
                    found, truth = posterior(study, analysis), _fiducial(study.model(scales))
                    rows += _rows(study.label(analysis), found, {name: truth[name] for name in names})
        return Outcome(rows, len(CONTOURS[figure]) * len(SUMMARIES) * study.plan.samples)

    return measure


def _fiducial(model: ForwardModel) -> dict[str, float]:
    """Return the fiducial values of all parameters, and of σ₈."""
    known = {each.name: each.fiducial for each in model.prior}
    return known | {"sigma8": float(sigma8_of(known["omega_m"], known["s8"]))}


def _rows(series: str, found: Posterior, truth: Mapping[str, float]) -> list[Row]:
    """Return means and widths, the correlation of S₈ and A_IA where both are shown, and draws for the picture."""
    names = tuple(truth)
    rows = [
        row(f"{what} of {name}", *found.measured(f"{name} {what}"), series=series)
        for name in names
        for what in ("mean", "standard deviation")
    ]
    if "a_ia" in names:
        rows.append(_correlation(series, found))
    draws = _columns(found, names)
    # Rank by rank, so that the few that are kept are spread over the whole chain.
    chosen = draws[np.linspace(0, len(draws) - 1, min(_KEPT, len(draws))).astype(int)]
    low, high = chosen.min(axis=0), chosen.max(axis=0)
    steps = np.rint(999 * (chosen - low) / np.maximum(high - low, 1e-12)).astype(int)
    ends = {"low": low.round(6).tolist(), "high": high.round(6).tolist()}
    lines = [" ".join(map(str, line)) for line in steps.tolist()]
    kept = {"names": list(names), "truth": list(truth.values()), "draws": lines, **ends}
    return [*rows, row("draws in the picture", len(chosen), series=series, **kept)]


def _columns(found: Posterior, names: Sequence[str]) -> Float64:
    """Return the draws of some parameters, σ₈ among them, shape (draw, parameter)."""
    columns = dict(zip(found.names, found.draws.T, strict=True))
    columns["sigma8"] = np.asarray(sigma8_of(columns["omega_m"], columns["s8"]))
    return np.stack([columns[name] for name in names], axis=1)


def _correlation(series: str, found: Posterior) -> Row:
    """Return corr(S₈, A_IA) of a posterior, with the error of its chain."""
    value = float(np.asarray(np.corrcoef(_columns(found, ("s8", "a_ia")).T))[0, 1])
    chain = found.result["chain"]
    independent = chain["walkers"] * chain["autocorrelation_times"]
    return row("correlation of s8 and a_ia", value, (1 - value**2) / independent**0.5, series=series)
