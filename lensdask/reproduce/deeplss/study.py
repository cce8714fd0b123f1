"""The study that the experiments of DeepLSS share: simulations, compressors, summaries, posteriors, each made once.

A study is a directory. Whatever an experiment asks for is made there unless it is there, so that figures and tables
that are carried out with the same study cost little more than the first of them. Names of compressors contain the
recipe; what follows from a compressor lies in a directory of its name.
"""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from lensdask.compute import RunOptions
from lensdask.data import configuration_hash
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.networks.hybrid import HybridConfig
from lensdask.lss.networks.recipe import Recipe, recipe_for
from lensdask.lss.networks.training import train
from lensdask.lss.networks.trainingset import FIRST_TRAINING, FIRST_VALIDATION
from lensdask.lss.prediction import predict_run
from lensdask.lss.simulation import simulate_run
from lensdask.lss.spectra_run import spectra_run
from lensdask.reproduce.deeplss.plans import Plan, plan_of
from lensdask.reproduce.deeplss.published import COLUMNS
from lensdask.reproduce.experiment import Job
from lensdask.training import History

__all__ = ["ANALYSES", "Analysis", "Mosaics", "Study"]


class Analysis(NamedTuple):
    """One way from maps to constraints.

    Parameters
    ----------
    probe
        "lensing", "clustering" or "combined".
    scales
        "large": linear bias; "small": non-linear bias, clustering smoothed at 4 Mpc / h, no limit in multipole.
    summary
        "network", which sees the maps; or the kind of the cross spectra of a network of spectra alone, "signed" or
        "modulus".
    """

    probe: str
    scales: str
    summary: str

    @property
    def name(self) -> str:
        """Name of its files."""
        return "-".join(self)


ANALYSES = tuple(Analysis(*column, summary) for column in COLUMNS for summary in ("network", "signed", "modulus"))
"""Columns of Table II, each with three summaries."""


@dataclass(frozen=True)
class Mosaics:
    """A set of mosaics."""

    tiles: str
    """Store that they are made of: "tiles", "calibration" or "fiducial"."""
    split: str
    """Which of its simulations."""
    first: int
    """Id of the first of them."""
    count: int
    """How many."""


@dataclass(frozen=True)
class Study:
    """A study of some size, in a directory."""

    directory: Path
    """Where everything goes."""
    plan: Plan
    """How large it is."""
    seed: int
    """Of everything random."""
    options: RunOptions
    """Cluster and device."""
    device: str
    """Device of the trainings."""

    @classmethod
    def of(cls, job: Job) -> "Study":
        """Return the study that an experiment belongs to."""
        directory = (job.study or job.parts) / f"deeplss-{job.size}-{job.seed}"
        options = replace(job.options, if_exists="resume", performance_report=None)
        return cls(directory, plan_of(job.size), job.seed, options, job.device_here)

    @property
    def sets(self) -> dict[str, Mosaics]:
        """The sets of mosaics by name."""
        recipe, plan = self.plan.spectra, self.plan
        seen = recipe.mosaics * (recipe.training.epochs if recipe.fresh else 1)
        return {
            "training": Mosaics("tiles", "training", FIRST_TRAINING, seen),
            "validation": Mosaics("tiles", "validation", FIRST_VALIDATION, recipe.validation),
            "likelihood": Mosaics("tiles", "likelihood", 0, plan.samples),
            "calibration": Mosaics("calibration", "test", 0, plan.mocks),
            "fiducial": Mosaics("fiducial", "test", 0, plan.fiducial_mocks),
        }

    def label(self, analysis: Analysis) -> str:
        """Return what an analysis is called in pictures."""
        name = self.plan.network_name if analysis.summary == "network" else f"{analysis.summary} spectra"
        return f"{analysis.probe}: {name}"

    def recipe(self, analysis: Analysis) -> Recipe:
        """Return how the compressor of an analysis is trained."""
        base = self.plan.network if analysis.summary == "network" else self.plan.spectra
        model = base.model
        if analysis.scales == "small":
            bias = "printed" if model.priors == "table1" else "released"
            model = replace(model, bias=bias, clustering_scale=4.0, ell_max=None)
        cross = None if analysis.summary == "network" else analysis.summary
        fitted = replace(base, model=model, seed=self.seed)
        return recipe_for(fitted, probe=analysis.probe, cross=cross)

    def model(self, scales: str) -> ForwardModel:
        """Return the forward model of both probes."""
        return self.recipe(Analysis("combined", scales, "signed")).model

    def tiles(self, kind: str) -> Path:
        """Return a store of tiles: "tiles" of the grid, "calibration" of other cosmologies, or "fiducial"."""
        path, plan = self.directory / f"{kind}.zarr", self.plan
        cosmologies, seeds, tiles = {
            "tiles": (str(plan.cosmologies), plan.seeds, plan.tiles),
            "calibration": (f"calibration:{plan.calibration}", 1, plan.tiles),
            # The first of the grid, of whose seeds the fourth is for tests.
            "fiducial": ("1", 4, plan.fiducial_tiles),
        }[kind]
        self.directory.mkdir(parents=True, exist_ok=True)
        simulate_run(
            path,
            sky=plan.sky,
            cosmologies=cosmologies,
            seeds=seeds,
            tiles=tiles,
            seed=self.seed,
            options=self.options,
        )
        return path

    def spectra(self, scales: str, mosaics: str) -> Path:
        """Return the store of the spectra of a set of mosaics, of both probes."""
        path, chosen = self.directory / "spectra" / f"{scales}-{mosaics}.zarr", self.sets[mosaics]
        path.parent.mkdir(parents=True, exist_ok=True)
        model = self.model(scales)
        spectra_run(
            self.tiles(chosen.tiles),
            path,
            model,
            samples=chosen.count,
            split=chosen.split,
            first=chosen.first,
            fixed=model.fiducial if mosaics == "fiducial" else None,
            seed=self.seed,
            options=self.options,
        )
        return path

    def weights(self, analysis: Analysis, recipe: Recipe | None = None) -> Path:
        """Return the file of a compressor, whether it is there or not; its name contains the recipe."""
        chosen = recipe or self.recipe(analysis)
        name = f"{analysis.name}-{configuration_hash(asdict(chosen))[:12]}"
        return self.directory / "networks" / f"{name}.safetensors"

    def compressor(self, analysis: Analysis, recipe: Recipe | None = None) -> Path:
        """Return the weights of a compressor, trained unless they lie there.

        Parameters
        ----------
        analysis
            Which one.
        recipe
            Another recipe than that of the plan.
        """
        path, chosen = self.weights(analysis, recipe), recipe or self.recipe(analysis)
        if path.with_suffix(".json").exists():
            return path
        kept, start = {}, None
        if analysis.summary != "network":
            kept = {mosaics: self.spectra(analysis.scales, mosaics) for mosaics in ("training", "validation")}
        elif isinstance(chosen.network, HybridConfig):
            start = self.compressor(analysis._replace(summary="signed"))
        train(
            path,
            chosen,
            tiles=self.tiles("tiles"),
            spectra=kept,
            start=start,
            device=self.device,
            resume=True,
            on_epoch=self._teller(f"training {path.stem}", chosen.training.epochs),
        )
        return path

    def summaries(self, analysis: Analysis, mosaics: str) -> Path:
        """Return the store of the summaries of a set of mosaics."""
        weights, chosen = self.compressor(analysis), self.sets[mosaics]
        path = self.directory / "summaries" / weights.stem / f"{mosaics}.zarr"
        path.parent.mkdir(parents=True, exist_ok=True)
        predict_run(
            self.tiles(chosen.tiles),
            weights,
            path,
            samples=chosen.count,
            split=chosen.split,
            fixed=self.model(analysis.scales).fiducial if mosaics == "fiducial" else None,
            spectra=None if analysis.summary == "network" else self.spectra(analysis.scales, mosaics),
            seed=self.seed,
            options=self.options,
        )
        return path

    def _teller(self, what: str, total: int) -> Callable[[int, History], None]:
        """Return the function that says how far a training is."""

        def tell(done: int, history: History) -> None:
            if self.options.show_progress and done:
                loss = f"loss {history.training[-1]:.4g}, validation {history.validation[-1]:.4g}"
                print(f"{what}: {done} of {total} epochs, {loss}", file=sys.stderr, flush=True)

        return tell
