"""Training of networks, whatever the pillar: recipes, one plain loop, weights with their cards."""

from lensdask.training.cards import (
    Architectures,
    build_from_card,
    describe_network,
    network_from_weights,
    network_of_config,
)
from lensdask.training.checkpoint import Checkpoint
from lensdask.training.reading import read_ahead
from lensdask.training.recipe import MOST_EXAMPLES, find_recipe, recipe_names, recipe_of_file
from lensdask.training.to_file import AnyRecipe, Examples, Lesson, Trained, train_to_file
from lensdask.training.trainer import Batch, Check, History, Objective, TrainingConfig, regression, train
from lensdask.training.weights import FoundWeights, find_weights, weights_file

__all__ = [
    "MOST_EXAMPLES",
    "AnyRecipe",
    "Architectures",
    "Batch",
    "Check",
    "Checkpoint",
    "Examples",
    "FoundWeights",
    "History",
    "Lesson",
    "Objective",
    "Trained",
    "TrainingConfig",
    "build_from_card",
    "describe_network",
    "find_recipe",
    "find_weights",
    "network_from_weights",
    "network_of_config",
    "read_ahead",
    "recipe_names",
    "recipe_of_file",
    "regression",
    "train",
    "train_to_file",
    "weights_file",
]
