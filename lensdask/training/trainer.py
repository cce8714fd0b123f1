"""The one training loop: AdamW, Huber loss, a plateau scheduler and an early stop."""

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lensdask.errors import InputError

__all__ = ["Batch", "History", "TrainingConfig", "train"]

Batch = tuple[Tensor, Tensor]
"""Inputs and labels."""


@dataclass(frozen=True)
class TrainingConfig:
    """Hyperparameters; the defaults are Table 1 of Lin, Li et al. 2026."""

    epochs: int = 50
    """Passes over the training set at the most."""
    batch: int = 500
    """Objects per step."""
    learning_rate: float = 1e-3
    """Initial learning rate of AdamW."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW."""
    huber_delta: float = 1e-3
    """Residual at which the Huber loss turns from quadratic to linear."""
    factor: float = 0.316
    """Factor on the learning rate when the validation loss has stalled."""
    patience: int = 5
    """Epochs without an improvement of 1 % that are put up with; the next one lowers the rate."""
    minimum_rate: float = 1e-5
    """Training stops once the learning rate has fallen below this."""
    validate_every: int = 10
    """Steps between validations."""
    micro_batch: int = 50
    """Objects per pass through the network; the gradients of a batch add up. On a CPU small passes stay in cache."""

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        for name in ("epochs", "batch", "learning_rate", "huber_delta", "validate_every", "micro_batch"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"training {name}: {getattr(self, name)}; expected a positive number")
        if not 0 < self.factor < 1:
            raise InputError(f"training factor: {self.factor}; expected a number between 0 and 1")
        if not (self.weight_decay >= 0 and self.patience >= 0 and 0 <= self.minimum_rate < self.learning_rate):
            raise InputError(
                f"training weight_decay {self.weight_decay}, patience {self.patience}, minimum_rate "
                f"{self.minimum_rate}; expected numbers >= 0, the last below the learning rate {self.learning_rate}"
            )


@dataclass
class History:
    """Loss curves, one entry per epoch."""

    training: list[float] = field(default_factory=list)
    """Mean training loss."""
    validation: list[float] = field(default_factory=list)
    """Best validation loss of the epoch."""
    learning_rate: list[float] = field(default_factory=list)
    """Learning rate during the epoch."""


def _backpropagate(model: nn.Module, loss: nn.Module, batch: Batch, micro_batch: int) -> float:
    """Add the gradients of a batch to the parameters and return its loss."""
    inputs, labels = batch
    total = 0.0
    for start in range(0, len(labels), micro_batch):
        part = slice(start, start + micro_batch)
        value = loss(model(inputs[part]), labels[part]) * (len(labels[part]) / len(labels))
        value.backward()
        total += value.item()
    return total


def _validation_loss(model: nn.Module, loss: nn.Module, batches: list[Batch], micro_batch: int) -> float:
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, labels in batches:
            for start in range(0, len(labels), micro_batch):
                x, y = inputs[start : start + micro_batch], labels[start : start + micro_batch]
                total, count = total + float(loss(model(x), y)) * len(y), count + len(y)
    model.train()
    return total / count


def train(
    model: nn.Module,
    batches: Callable[[int], Iterable[Batch]],
    validation: list[Batch],
    config: TrainingConfig,
    *,
    on_epoch: Callable[[int, History], None] | None = None,
) -> History:
    """Train a model in place; it ends with the weights of the best validation loss.

    Parameters
    ----------
    model
        Network that maps inputs to labels.
    batches
        Returns the training batches of an epoch, counted from 0.
    validation
        Validation batches, the same for every epoch.
    config
        Hyperparameters.
    on_epoch
        Called after each epoch with the number of epochs done and the history so far.

    Raises
    ------
    InputError
        The training diverged.
    """
    loss = nn.HuberLoss(delta=config.huber_delta)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=config.factor, patience=config.patience, threshold=0.01
    )
    history = History()
    best, best_loss, step = deepcopy(model.state_dict()), float("inf"), 0
    model.train()
    for epoch in range(config.epochs):
        rate = optimizer.param_groups[0]["lr"]
        if rate < config.minimum_rate:
            break
        total, count, epoch_loss = 0.0, 0, float("inf")
        for inputs, labels in batches(epoch):
            optimizer.zero_grad(set_to_none=True)
            value = _backpropagate(model, loss, (inputs, labels), config.micro_batch)
            optimizer.step()
            total, count, step = total + value * len(labels), count + len(labels), step + 1
            if step % config.validate_every == 0:
                epoch_loss = min(
                    epoch_loss,
                    validated := _validation_loss(model, loss, validation, config.micro_batch),
                )
                if validated < best_loss:
                    best, best_loss = deepcopy(model.state_dict()), validated
        if epoch_loss == float("inf"):
            epoch_loss = _validation_loss(model, loss, validation, config.micro_batch)
            if epoch_loss < best_loss:
                best, best_loss = deepcopy(model.state_dict()), epoch_loss
        if not math.isfinite(epoch_loss):
            raise InputError(
                f"training: the loss of epoch {epoch + 1} is {epoch_loss}; expected a smaller learning rate"
            )
        scheduler.step(epoch_loss)
        history.training.append(total / count)
        history.validation.append(epoch_loss)
        history.learning_rate.append(rate)
        if on_epoch is not None:
            on_epoch(epoch + 1, history)
    model.load_state_dict(best)
    model.eval()
    return history
