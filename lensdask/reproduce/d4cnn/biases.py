"""Figures 4 and 5, Tables 2 and 3: biases m and c of the networks, and what the error of m costs in galaxies.

All galaxies are drawn under (±g, 0) and (0, ±g), g = 0.02, and ``m = (<e+> - <e->) / (g (<R+> + <R->)) - 1``,
``c = (<e+> + <e->) / (<R+> + <R->)`` (equations 22 and 23). An exact response leaves what is of third order in the
shear, ``m ~ g²``, a few 1e-4: the paper's 4e7 galaxies with independent noise do not see it, pairs of galaxies with
exchanged noise (see `lensdask.shear.noise`) do with a thousand.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np

from lensdask.compute import Row, row
from lensdask.conventions import LSST_Y10_NOISE
from lensdask.reproduce.d4cnn.networks import ABLATIONS, network, trained, trained_path
from lensdask.reproduce.d4cnn.published import TABLE2, TABLE3, Published
from lensdask.reproduce.experiment import Job, Outcome, on_cluster
from lensdask.shear.calibration.estimate import BIAS_QUANTITIES, Bias
from lensdask.shear.calibration.selection import magnitude_cut
from lensdask.shear.comparison import Comparison, compare
from lensdask.shear.noise import NoiseOfPairs
from lensdask.shear.results import bias_rows
from lensdask.shear.shapes.d4cnn import PAPER
from lensdask.shear.simulation.observation import Observation

__all__ = [
    "NOISES",
    "ablations",
    "compared",
    "conditions",
    "magnitude_cuts",
    "noise_schemes",
    "outcome_of",
    "rows_of_variant",
    "training_sizes",
    "weights_of_training_sizes",
]

NOISES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, LSST_Y10_NOISE)
"""Noise per pixel of Figures 4 and 6, up to that of LSST after ten years, flux at zero point 30."""

PSF_ELLIPTICITIES = (0.0, 0.02, 0.05, 0.1)
"""PSF distortions e of Figure 4: e1 = e, e2 = -e."""

KERNEL_FWHMS = (0.765, PAPER.kernel_fwhm, 0.935)
"""FWHM of the resmoothing kernel of Figure 4, arcsec: that of the training and 10 % about it."""

CUTS = (23.0, 23.5, 24.0, 24.5, 25.0, 25.5, 26.0)
"""Cuts on the FPFS magnitude of Figure 5."""

WIDTHS = {"hard cut": 0.0, "smooth cut": 0.5}
"""Half widths of the cuts, magnitudes. The paper's are hard: the few galaxies next to them carry the whole selection
response, and its shot noise hides the bias. A smooth cut shows the same bias and its correction with fewer galaxies."""

# How many galaxies each point gets; the paper's numbers are of sections 2.2 and 3.1.
_GALAXIES_PER_POINT = {"tiny": 8, "small": 800, "paper": 40_000_000}
_GALAXIES_OF_CUTS = {"tiny": 200, "small": 6_000, "paper": 40_000_000}
_GALAXIES_OF_TABLES = {"tiny": 16, "small": 2_000, "paper": 40_000_000}
_GALAXIES_OF_SCHEMES = {"tiny": 16, "small": 2_000, "paper": 1_000_000}

_NOISE_OF_PAIRS: dict[str, NoiseOfPairs] = {"tiny": "exchanged", "small": "exchanged", "paper": "independent"}
"""The paper's pairs have independent noise. Exchanged noise has the same biases with a far smaller error, so that few
galaxies are enough."""

_TRAINING_STAMPS = {"tiny": (16, 32), "small": (1_000, 5_000, 10_000, 20_000), "paper": (1_000, 5_000, 10_000, 20_000)}


def compared(job: Job, name: str, **settings: Any) -> Comparison:
    """Compare estimators in a directory among the experiment's parts; the settings are those of `compare`."""
    return compare(job.parts / name, seed=job.seed, options=job.options, **settings)


def outcome_of(rows: list[Row], comparisons: Sequence[Comparison]) -> Outcome:
    """Return the outcome of an experiment of one or more comparisons."""
    runs = [comparison.run for comparison in comparisons]
    objects = sum(run.objects for run in runs)
    return Outcome(rows, objects, sum(len(run.quarantined) for run in runs), runs[-1].device)


def _observation(job: Job, **settings: Any) -> Observation:
    """Return LSST year 10 with some settings of an experiment."""
    return Observation(noise=_NOISE_OF_PAIRS[job.size], **settings)


def _rows(found: Bias, series: str, published: Published | None = None, **more: Any) -> list[Row]:
    return [r | {"series": series, "n": found.galaxies, **more} for r in bias_rows(found, published or {})]


def _of_m(rows: Sequence[Row], series: str) -> list[Row]:
    return [r for r in rows if r["series"] == series and r["quantity"] in ("m1", "m2")]


def _largest_m(rows: Sequence[Row], series: str) -> Row:
    """Return the largest |m| among rows of a series, with its own error."""
    worst = max(_of_m(rows, series), key=lambda r: abs(r["measured"]))
    return row("largest |m|", abs(worst["measured"]), worst["error"], series=series, n=worst["n"])


def _largest_pull(rows: Sequence[Row], series: str) -> Row:
    """Return the largest |m| in units of its error: the largest of many noisy |m| is large whatever the bias."""
    chosen = _of_m(rows, series)
    pulls = [abs(r["measured"]) / r["error"] for r in chosen]
    return row(f"largest |m| / error of {len(pulls)} values", max(pulls), series=series, n=chosen[0]["n"])


def conditions(job: Job) -> Outcome:
    """Measure m and c against image noise, PSF ellipticity and the width of the resmoothing kernel (Figure 4)."""
    galaxies = _GALAXIES_PER_POINT[job.size]
    name = network(job, "d4cnn")
    setups: list[tuple[str, float, str, Observation]] = [
        *(("image noise", x, name, _observation(job, noise_sigma=x)) for x in NOISES),
        *(("PSF ellipticity", x, name, _observation(job, psf_e1=x, psf_e2=-x)) for x in PSF_ELLIPTICITIES),
        *(("kernel FWHM (arcsec)", x, _with_kernel(name, x), _observation(job)) for x in KERNEL_FWHMS),
    ]
    if job.size == "tiny":
        setups = setups[::3]
    rows: list[Row] = []
    # The three series meet in one setup, which is measured once.
    found: dict[tuple[str, Observation], Comparison] = {}
    with on_cluster(job) as job:
        for series, x, estimator, observation in setups:
            setup = estimator, observation
            if setup not in found:
                directory = f"{series.split(' (')[0]} {x:g}".replace(" ", "-")
                found[setup] = compared(
                    job, directory, galaxies=galaxies, estimators=[estimator], observation=observation
                )
            rows += _rows(found[setup].bias(estimator), series, x=x)
    summary = [_largest_m(rows, series) for series in dict.fromkeys(setup[0] for setup in setups)]
    return outcome_of(summary + rows, list(found.values()))


def _with_kernel(name: str, fwhm: float) -> str:
    """Return a network with another resmoothing kernel than that of its training."""
    return name if fwhm == PAPER.kernel_fwhm else f"{name}:{fwhm}"


def magnitude_cuts(job: Job) -> Outcome:
    """Measure m and c of samples cut in FPFS magnitude, with and without the response of the cut (Figure 5)."""
    galaxies = _GALAXIES_OF_CUTS[job.size]
    # A tiny sample has nothing left under the brighter cuts.
    cuts = CUTS[-2:] if job.size == "tiny" else CUTS
    name = network(job, "d4cnn")
    with on_cluster(job) as job:
        found = compared(
            job,
            "cuts",
            galaxies=galaxies,
            estimators=[name],
            selections=[magnitude_cut(cut, width) for width in WIDTHS.values() for cut in cuts],
            observation=_observation(job),
        )
    rows = []
    for response, corrected in (("with selection response", True), ("without selection response", False)):
        for i, (kind, cut) in enumerate(product(WIDTHS, cuts)):
            rows += _rows(found.bias(name, i, corrected=corrected), f"{kind}, {response}", x=cut)
    names_of_series = dict.fromkeys(r["series"] for r in rows)
    summary = [largest(rows, series) for series in names_of_series for largest in (_largest_m, _largest_pull)]
    return outcome_of(summary + rows, [found])


def _compared_networks(job: Job, estimators: Iterable[str]) -> Comparison:
    """Compare the networks of a table."""
    galaxies = _GALAXIES_OF_TABLES[job.size]
    return compared(
        job, "networks-compared", galaxies=galaxies, estimators=list(estimators), observation=_observation(job)
    )


def ablations(job: Job) -> Outcome:
    """Measure m, c and shape noise of the three networks on the same galaxies (Table 2)."""
    names = {name: network(job, name) for name in ABLATIONS}
    with on_cluster(job) as job:
        found = _compared_networks(job, names.values())
    rows = []
    for name, estimator in names.items():
        rows += rows_of_variant(name, found.bias(estimator))
    return outcome_of(rows, [found])


def rows_of_variant(name: str, found: Bias) -> list[Row]:
    """Return the rows of a network of Table 2 beside the published ones.

    Parameters
    ----------
    name
        One of `ABLATIONS`. The biases of a network without the symmetry are accidents of its training: two trainings
        do not constrain each other, however small their errors.
    found
        Its biases.
    """
    rows = _rows(found, ABLATIONS[name], TABLE2[name])
    return [r | {"comparable": r["comparable"] and name != "cnn"} for r in rows]


def weights_of_training_sizes(job: Job) -> list[Path]:
    """Return the files of the networks of Table 3."""
    return [trained_path(job, "d4cnn-fpfs", count) for count in _TRAINING_STAMPS[job.size]]


def training_sizes(job: Job) -> Outcome:
    """Train on more and more stamps and measure m, c and shape noise on the same galaxies (Table 3)."""
    names = {count: str(trained(job, "d4cnn-fpfs", count)) for count in _TRAINING_STAMPS[job.size]}
    with on_cluster(job) as job:
        found = _compared_networks(job, names.values())
    rows = []
    for count, estimator in names.items():
        rows += _rows(found.bias(estimator), f"{count} training stamps", TABLE3.get(count))
    return outcome_of(rows, [found])


def noise_schemes(job: Job) -> Outcome:
    """Measure the error of m that 1e5 galaxies leave, for each way to draw the noise of orthogonal pairs."""
    galaxies = _GALAXIES_OF_SCHEMES[job.size]
    names = {"D4CNN": network(job, "d4cnn"), "FPFS": "fpfs"}
    rows, comparisons = [], []
    with on_cluster(job) as job:
        for scheme in get_args(NoiseOfPairs):
            observation = Observation(noise=scheme)
            found = compared(job, scheme, galaxies=galaxies, estimators=list(names.values()), observation=observation)
            for label, estimator in names.items():
                rows += _errors_of_m(found.bias(estimator), label, scheme)
            comparisons.append(found)
    return outcome_of(rows, comparisons)


def _errors_of_m(found: Bias, series: str, scheme: str) -> list[Row]:
    """Return the bootstrap errors of m scaled to 1e5 galaxies, with the sampling error of a standard deviation."""
    scale = np.sqrt(found.galaxies / 1e5)
    blur = 1 / np.sqrt(2 * (found.blocks - 1))
    return [
        row(
            f"error of {BIAS_QUANTITIES[i]} with 1e5 galaxies, {scheme} noise",
            found.errors[i] * scale,
            found.errors[i] * scale * blur,
            series=series,
            scheme=scheme,
            n=found.galaxies,
        )
        for i in (0, 1)
    ]
