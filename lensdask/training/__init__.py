"""Training of networks: one plain loop, whatever the pillar."""

from lensdask.training.recipe import check_output, read_toml, replaced
from lensdask.training.trainer import Batch, History, Objective, TrainingConfig, regression, train

__all__ = [
    "Batch",
    "History",
    "Objective",
    "TrainingConfig",
    "check_output",
    "read_toml",
    "regression",
    "replaced",
    "train",
]
