"""Posteriors of a study: of the most likely observation, of mocks drawn from the prior, and of fiducial mocks."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.data import configuration_hash, load_card
from lensdask.data import open as open_store
from lensdask.lss.inference.ensemble import sample_posteriors
from lensdask.lss.inference.figure_of_merit import contour_area_kde
from lensdask.lss.inference.infer import infer
from lensdask.lss.inference.inputs import read_inputs
from lensdask.lss.inference.likelihood import load_likelihood
from lensdask.lss.inference.prior import sigma8_of
from lensdask.lss.inference.training import LikelihoodRecipe, likelihood_recipe
from lensdask.reproduce.deeplss.study import Analysis, Study

__all__ = ["FiducialMocks", "Posterior", "fiducial_mocks", "inferred", "posterior"]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Posterior:
    """What `lensdask.lss.infer` made of the summaries of an analysis."""

    directory: Path
    """Its results."""
    names: tuple[str, ...]
    """Parameters, in order."""
    draws: Float64
    """Of the most likely fiducial observation, shape (draw, parameter)."""
    result: dict[str, Any]
    """Content of ``result.json``."""

    @classmethod
    def read(cls, directory: Path) -> "Posterior":
        """Return the results of a directory."""
        chain = open_store(directory / "chains.zarr").load()
        draws = chain["theta"].to_numpy().reshape(-1, chain.sizes["parameter"]).astype(np.float64)
        result = json.loads((directory / "result.json").read_text())
        return cls(directory, tuple(chain.attrs["parameters"]), draws, result)

    def measured(self, quantity: str) -> tuple[float, float | None]:
        """Return a number of the result file and its error."""
        (found,) = [row for row in self.result["rows"] if row["quantity"] == quantity]
        return found["measured"], found["error"]


def posterior(study: Study, analysis: Analysis) -> Posterior:
    """Return the posterior of an analysis, with the coverage of its mocks; inferred unless it is there."""
    plan, count = study.plan, len(study.recipe(analysis).model.parameters)
    recipe = likelihood_recipe("mdn", count, epochs=plan.epochs, seed=study.seed)
    return inferred(study, analysis, recipe, plan.mocks)


def inferred(study: Study, analysis: Analysis, recipe: LikelihoodRecipe, mocks: int) -> Posterior:
    """Return the posterior of an analysis by some likelihood, from a directory whose name has all that decides it."""
    weights, plan = study.compressor(analysis), study.plan
    settings = {"recipe": asdict(recipe), "chain": asdict(plan.chain), "ensemble": asdict(plan.ensemble)}
    named = configuration_hash(settings | {"samples": plan.samples, "mocks": mocks})[:12]
    directory = study.directory / "posteriors" / f"{weights.stem}-{named}"
    file = directory / "result.json"
    # The result file is written last.
    found = json.loads(file.read_text()) if file.exists() else {}
    if found.get("compressor_sha256") != load_card(weights)["sha256"]:
        infer(
            directory,
            study.summaries(analysis, "likelihood"),
            mocks=mocks,
            calibration=study.summaries(analysis, "calibration") if mocks else None,
            recipe=recipe,
            chain=plan.chain,
            ensemble=plan.ensemble,
            seed=study.seed,
            device=study.device,
            overwrite=True,
        )
    return Posterior.read(directory)


@dataclass(frozen=True)
class FiducialMocks:
    """Widths of the posteriors of mocks at the fiducial parameters."""

    names: tuple[str, ...]
    """Parameters, in order; σ₈ is the last."""
    scatter: Float64
    """Standard deviations, shape (mock, parameter)."""
    merit: Float64
    """Figure of merit of Ω_m and σ₈, one over the area of the 68 % contour of a smooth density, shape (mock,)."""
    usable: npt.NDArray[np.bool_]
    """Whether a mock lies near the training range, shape (mock,)."""


def fiducial_mocks(study: Study, analysis: Analysis) -> FiducialMocks:
    """Return the widths of the posteriors of fiducial mocks; sampled unless they are there."""
    found = posterior(study, analysis)
    file = found.directory / "fiducial.npz"
    if not file.exists() or file.stat().st_mtime_ns < (found.directory / "result.json").stat().st_mtime_ns:
        _sample(study, analysis, found.directory, file)
    kept = np.load(file, allow_pickle=False)
    names = (*found.names, "sigma8")
    return FiducialMocks(names, kept["scatter"], kept["merit"], kept["usable"])


def _sample(study: Study, analysis: Analysis, directory: Path, file: Path) -> None:
    """Sample the posteriors of fiducial mocks and keep their widths."""
    likelihood = load_likelihood(directory / "likelihood.safetensors", study.device)
    prior = read_inputs(study.summaries(analysis, "likelihood"), observation="fiducial", mocks=0).prior
    mocks = open_store(study.summaries(analysis, "fiducial")).load()
    names, observed = mocks.attrs["parameters"], mocks["theta_summary"].to_numpy().astype(np.float64)
    usable = np.isfinite(likelihood.log_prob(observed, mocks["theta_true"].to_numpy()))
    scatter = np.full((len(usable), len(names) + 1), np.nan)
    merit = np.full(len(usable), np.nan)
    theta = sample_posteriors(likelihood, prior, observed[usable], seed=study.seed, settings=study.plan.ensemble)
    for row, draws in zip(np.flatnonzero(usable), theta, strict=True):
        flat = draws.reshape(-1, draws.shape[-1]).astype(np.float64)
        cosmology = [flat[:, names.index(name)] for name in ("omega_m", "s8")]
        sigma8 = sigma8_of(*cosmology)
        scatter[row] = np.column_stack([flat, sigma8]).std(axis=0)
        merit[row] = 1 / contour_area_kde(np.stack([cosmology[0], sigma8], axis=1))
    np.savez(file, scatter=scatter, merit=merit, usable=usable)
