"""Figures 9 and 10: whether the likelihood describes the summaries, and whether the spectra are used up."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lensdask.arrays import to_numpy
from lensdask.compute import Row, cached_model, row, torch_settings
from lensdask.data import load_card
from lensdask.lss.compressor import find_compressor
from lensdask.lss.inference.likelihood import load_likelihood
from lensdask.lss.inference.mixture import MixtureConfig
from lensdask.lss.inference.summaries import read_summaries
from lensdask.lss.inference.training import likelihood_recipe, split_summaries
from lensdask.lss.inference.trust.accuracy import measure_accuracy
from lensdask.lss.kept_spectra import open_spectra
from lensdask.lss.networks.architectures import BASES, build_network
from lensdask.lss.networks.loss import summary_loss
from lensdask.lss.networks.power import PowerConfig
from lensdask.lss.networks.recipe import Recipe
from lensdask.lss.networks.trainingset import Mosaics
from lensdask.lss.tiles import open_split, open_tiles
from lensdask.reproduce.deeplss.posteriors import inferred, posterior
from lensdask.reproduce.deeplss.published import ALTERNATIVES
from lensdask.reproduce.deeplss.study import Analysis, Study
from lensdask.reproduce.experiment import Job, Outcome, on_cluster

__all__ = ["PROBES", "alternative", "convergence", "likelihoods", "losses"]

Float64 = npt.NDArray[np.float64]

PROBES = ("lensing", "clustering", "combined")
"""Of the six networks of the figure."""

_EDGES = np.linspace(-1.0, 1.0, 41)

_MAIN = Analysis("combined", "large", "network")
_SPECTRA = Analysis("combined", "large", "signed")


def likelihoods(job: Job) -> Outcome:
    """Return figure 9: Δμ and Δσ of six likelihoods, coverage of mocks, and a larger network for one of them."""
    rows: list[Row] = []
    with on_cluster(job) as running:
        study = Study.of(running)
        for probe in PROBES:
            for summary in ("network", "signed"):
                rows += _accuracy(study, Analysis(probe, "large", summary))
        for summary in ("network", "signed", "modulus"):
            rows += _coverage(study, Analysis("combined", "large", summary))
        rows += _larger(study)
    return Outcome(rows, 6 * study.plan.samples)


@torch_settings()
def _accuracy(study: Study, analysis: Analysis) -> list[Row]:
    """Return numbers and histograms of eqs. C1 and C2 on samples that the likelihood was not trained with."""
    found, label = posterior(study, analysis), study.label(analysis)
    likelihood = load_likelihood(found.directory / "likelihood.safetensors", study.device)
    summaries = read_summaries(study.summaries(analysis, "likelihood"))
    recipe = likelihood_recipe("mdn", len(found.names), seed=study.seed)
    held = summaries.rows(~split_summaries(summaries, recipe.validation, recipe.seed).training)
    accuracy = measure_accuracy(likelihood, held, study.seed)
    rows = []
    for name, values in (("Δμ", accuracy.mean), ("Δσ", accuracy.scatter)):
        rows += [row(f"{what} of {name}", *found.measured(f"{name} {what}"), series=label) for what in _MOMENTS]
        counts = np.histogram(np.clip(values, -0.999, 0.999), _EDGES)[0] / values.size
        centres = (_EDGES[1:] + _EDGES[:-1]) / 2
        rows += [
            row(f"share of {name}", float(share), series=label, x=float(x))
            for x, share in zip(centres.round(3), counts, strict=True)
        ]
    return rows


_MOMENTS = ("mean", "scatter")


def _coverage(study: Study, analysis: Analysis) -> list[Row]:
    """Return how often intervals hold the truth of mocks drawn from the prior, and the tests of it."""
    found, label = posterior(study, analysis), study.label(analysis)
    shown = [one for one in found.result["rows"] if one["quantity"].startswith(("coverage", "p-value, ", "mocks left"))]
    return [one | {"series": label} for one in shown]


def _larger(study: Study) -> list[Row]:
    """Return what eight Gaussians and 512 hidden units change of the widths of the posterior."""
    usual = posterior(study, _MAIN)
    recipe = likelihood_recipe("mdn", len(usual.names), epochs=study.plan.epochs, seed=study.seed)
    network = MixtureConfig(parameters=len(usual.names), components=8, hidden=512)
    larger = inferred(study, _MAIN, replace(recipe, network=network), 0)
    rows = []
    for name in usual.names:
        wide, narrow = (one.measured(f"{name} standard deviation") for one in (larger, usual))
        ratio = wide[0] / narrow[0]
        error = ratio * float(np.hypot((wide[1] or 0.0) / wide[0], (narrow[1] or 0.0) / narrow[0]))
        rows.append(row(f"width of {name}, 8 Gaussians and 512 units over 4 and 256", ratio, error))
    return rows


def alternative(study: Study, base: str) -> Recipe:
    """Return the recipe of another network of spectra of appendix D, which sees what the main one sees."""
    main = study.recipe(_SPECTRA)
    network = BASES["power"][base]
    assert isinstance(network, PowerConfig)  # noqa: S101  of BASES
    assert isinstance(main.network, PowerConfig)  # noqa: S101  of the plan
    return replace(main, network=replace(network, scaling=main.network.scaling))


def convergence(job: Job) -> Outcome:
    """Return figure 10: the losses of the networks along the training, and those on mosaics for tests."""
    rows: list[Row] = []
    with on_cluster(job) as running:
        study = Study.of(running)
        main = {study.label(one): study.compressor(one) for one in (_MAIN, _SPECTRA)}
        others = {base: study.compressor(_SPECTRA, alternative(study, base)) for base in ALTERNATIVES}
        for name, path in {**main, **others}.items():
            card = load_card(path)
            rows.append(row("trainable parameters", card["parameters"], series=name, published=ALTERNATIVES.get(name)))
            seen, recipe = card["loss"]["validation"], card["recipe"]
            each = recipe["mosaics"] * recipe["training"]["epochs"] / len(seen)
            rows += [row("validation loss", loss, series=name, x=each * k) for k, loss in enumerate(seen, 1)]
        rows += _test_rows(study, {**main, **others})
    return Outcome(rows, len(main | others) * study.sets["training"].count)


def _test_rows(study: Study, weights: dict[str, Path]) -> list[Row]:
    """Return the losses on mosaics of other cosmologies, and how much lower that of the network of maps is."""
    found = {name: losses(study, path) for name, path in weights.items()}
    count = len(next(iter(found.values())))
    rows = [
        row("loss on test mosaics", one.mean(), one.std(ddof=1) / count**0.5, series=name, n=count)
        for name, one in found.items()
    ]
    network, spectra = list(found.values())[:2]
    gain = (spectra - network) / 2
    series = f"{study.plan.network_name} over signed spectra"
    rows.append(
        row(
            "gain in log-likelihood on test mosaics", gain.mean(), gain.std(ddof=1) / count**0.5, series=series, n=count
        )
    )
    return rows


@torch_settings()
def losses(study: Study, weights: Path) -> Float64:
    """Return the loss of a compressor on each of the mosaics of the calibration set, eq. 14, shape (mosaic,)."""
    chosen, found = study.sets["calibration"], find_compressor(weights)
    network: Any = cached_model(build_network, found.path, found.sha256, "cpu")
    kept = None
    if network.config.inputs == ("spectra",):
        kept = open_spectra(study.spectra("large", "calibration"))
    split = open_split(open_tiles(study.tiles(chosen.tiles))[1], chosen.split)
    made = Mosaics(split, found.model, network.config.inputs, found.cross, study.seed, "cpu", kept)
    each = []
    with torch.no_grad():
        for *inputs, theta in made.batches(chosen.first, chosen.count, 32):
            outputs = network(*inputs)
            each += [summary_loss(outputs[i : i + 1], theta[i : i + 1]) for i in range(len(theta))]
    return np.asarray(to_numpy(torch.stack(each)), dtype=np.float64)
