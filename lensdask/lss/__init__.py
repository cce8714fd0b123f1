"""Large-scale structure: cosmological parameters from tomographic maps of lensing and clustering."""

from typing import TYPE_CHECKING

from lensdask.lazy import lazy_names

if TYPE_CHECKING:
    from lensdask.lss.parameters import FIELDS, LINEAR, NON_LINEAR, PARAMETERS, PROBES, Parameter
    from lensdask.lss.simulation import SPLITS, simulate, simulate_run, split_of
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "FIELDS",
    "LINEAR",
    "NON_LINEAR",
    "PARAMETERS",
    "PROBES",
    "SPLITS",
    "Parameter",
    "simulate",
    "simulate_run",
    "split_of",
]
