"""Large-scale structure: cosmological parameters from tomographic maps of lensing and clustering."""

from typing import TYPE_CHECKING

from lensdask.lazy import lazy_names

if TYPE_CHECKING:
    from lensdask.compute import RunOptions
    from lensdask.lss.compressor import Compressor, find_compressor
    from lensdask.lss.forward.model import RELEASED, RELEASED_NON_LINEAR, ForwardModel
    from lensdask.lss.forward.observation import observe
    from lensdask.lss.forward.samples import draw_samples
    from lensdask.lss.inference.chains import Chain, ChainSettings, run_chain
    from lensdask.lss.inference.ensemble import EnsembleSettings, sample_posteriors
    from lensdask.lss.inference.infer import Inference, infer
    from lensdask.lss.inference.likelihood import Likelihood, load_likelihood
    from lensdask.lss.inference.prior import Prior, make_prior
    from lensdask.lss.inference.summaries import Summaries, read_summaries
    from lensdask.lss.inference.training import fit_likelihood, likelihood_recipe
    from lensdask.lss.inference.trust.coverage import Coverage, measure_coverage
    from lensdask.lss.inference.trust.novelty import Novelty
    from lensdask.lss.networks.recipe import Recipe, read_recipe
    from lensdask.lss.networks.training import train
    from lensdask.lss.parameters import FIELDS, LINEAR, NON_LINEAR, PARAMETERS, PROBES, Parameter
    from lensdask.lss.prediction import compress, predict_run
    from lensdask.lss.sensitivity_maps import sensitivity
    from lensdask.lss.simulation import simulate, simulate_run
    from lensdask.lss.skies import read_skies, read_skies_run
    from lensdask.lss.spectra import power_spectra
    from lensdask.lss.tile_task import SPLITS, split_of
    from lensdask.lss.tiles import Split
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "FIELDS",
    "LINEAR",
    "NON_LINEAR",
    "PARAMETERS",
    "PROBES",
    "RELEASED",
    "RELEASED_NON_LINEAR",
    "SPLITS",
    "Chain",
    "ChainSettings",
    "Compressor",
    "Coverage",
    "EnsembleSettings",
    "ForwardModel",
    "Inference",
    "Likelihood",
    "Novelty",
    "Parameter",
    "Prior",
    "Recipe",
    "RunOptions",
    "Split",
    "Summaries",
    "compress",
    "draw_samples",
    "find_compressor",
    "fit_likelihood",
    "infer",
    "likelihood_recipe",
    "load_likelihood",
    "make_prior",
    "measure_coverage",
    "observe",
    "power_spectra",
    "predict_run",
    "read_recipe",
    "read_skies",
    "read_skies_run",
    "read_summaries",
    "run_chain",
    "sample_posteriors",
    "sensitivity",
    "simulate",
    "simulate_run",
    "split_of",
    "train",
]
