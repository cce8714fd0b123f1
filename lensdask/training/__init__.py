"""Training of networks: one plain loop, whatever the pillar."""

from lensdask.training.checkpoint import Checkpoint
from lensdask.training.reading import read_ahead
from lensdask.training.recipe import check_output, read_toml, replaced
from lensdask.training.trainer import Batch, History, Objective, TrainingConfig, regression, train

__all__ = [
    "Batch",
    "Checkpoint",
    "History",
    "Objective",
    "TrainingConfig",
    "check_output",
    "read_ahead",
    "read_toml",
    "regression",
    "replaced",
    "train",
]
