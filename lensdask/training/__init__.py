"""Training of networks: one plain loop, whatever the pillar."""

from lensdask.training.trainer import History, TrainingConfig, train

__all__ = ["History", "TrainingConfig", "train"]
