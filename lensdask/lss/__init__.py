"""Large-scale structure: cosmological parameters from tomographic maps of lensing and clustering."""

from typing import TYPE_CHECKING

from lensdask.lazy import lazy_names

if TYPE_CHECKING:
    from lensdask.lss.inference.chains import Chain, ChainSettings, run_chain
    from lensdask.lss.inference.ensemble import EnsembleSettings, sample_posteriors
    from lensdask.lss.inference.infer import Inference, infer
    from lensdask.lss.inference.likelihood import Likelihood, load_likelihood
    from lensdask.lss.inference.prior import Prior, make_prior
    from lensdask.lss.inference.summaries import Summaries, read_summaries
    from lensdask.lss.inference.training import fit_likelihood, likelihood_recipe
    from lensdask.lss.inference.trust.coverage import Coverage, measure_coverage
    from lensdask.lss.inference.trust.novelty import Novelty
    from lensdask.lss.parameters import FIELDS, LINEAR, NON_LINEAR, PARAMETERS, PROBES, Parameter
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "FIELDS",
    "LINEAR",
    "NON_LINEAR",
    "PARAMETERS",
    "PROBES",
    "Chain",
    "ChainSettings",
    "Coverage",
    "EnsembleSettings",
    "Inference",
    "Likelihood",
    "Novelty",
    "Parameter",
    "Prior",
    "Summaries",
    "fit_likelihood",
    "infer",
    "likelihood_recipe",
    "load_likelihood",
    "make_prior",
    "measure_coverage",
    "read_summaries",
    "run_chain",
    "sample_posteriors",
]
