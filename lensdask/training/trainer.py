"""The one training loop: AdamW, a scheduler, and the weights of the best validation loss."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from lensdask.errors import InputError, check_choice, check_number
from lensdask.training.checkpoint import Checkpoint

__all__ = ["Batch", "Check", "History", "Objective", "TrainingConfig", "regression", "train"]

Batch = tuple[Tensor, ...]
"""Inputs, and what the objective needs beside them, each with one row per object."""

Objective = Callable[[nn.Module, Batch], Tensor]
"""Mean loss of a model over the objects of a batch."""

Check = Callable[[nn.Module, Batch], tuple[Tensor, Tensor]]
"""Mean loss of a model over the objects of a validation batch, and a mean score that people understand, as accuracy."""

Schedule = Literal["plateau", "cosine"]


@dataclass(frozen=True)
class TrainingConfig:
    """Hyperparameters; the defaults are Table 1 of Lin, Li et al. 2026."""

    epochs: int = 50
    """Maximum number of epochs."""
    batch: int = 500
    """Objects per step."""
    learning_rate: float = 1e-3
    """Initial learning rate of AdamW."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW."""
    huber_delta: float = 1e-3
    """Residual at which the Huber loss turns from quadratic to linear."""
    schedule: Schedule = "plateau"
    """Whether the learning rate falls when the validation loss stalls, or as a cosine to end with the last epoch."""
    factor: float = 0.316
    """Factor on the learning rate when the validation loss has stalled."""
    patience: int = 5
    """Epochs without an improvement of 1 % that are put up with; the next one lowers the rate."""
    minimum_rate: float = 1e-5
    """On the plateau schedule training stops once the learning rate has fallen below this."""
    validate_every: int = 10
    """Steps between validations."""
    micro_batch: int = 50
    """Objects per pass through the network; the gradients of a batch add up. On a CPU small passes stay in cache."""
    bfloat16: bool = False
    """Whether convolutions and matrix products train in half precision: twice as fast where the processor knows how."""
    clip_norm: float = 0.0
    """Norm to which the gradient of a step is shortened where it is longer; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        for name in ("epochs", "batch", "validate_every", "micro_batch"):
            check_number(f"training {name}", getattr(self, name), above=0, whole=True)
        for name in ("learning_rate", "huber_delta"):
            check_number(f"training {name}", getattr(self, name), above=0)
        check_choice("training schedule", self.schedule, get_args(Schedule))
        check_number("training factor", self.factor, above=0, below=1)
        check_number("training clip_norm", self.clip_norm, least=0, meaning="0 for none")
        check_number("training weight_decay", self.weight_decay, least=0)
        check_number("training patience", self.patience, least=0, whole=True)
        below = self.learning_rate
        check_number("training minimum_rate", self.minimum_rate, least=0, below=below, meaning="the learning rate")


@dataclass
class History:
    """Loss curves, one entry per epoch."""

    training: list[float] = field(default_factory=list)
    """Mean training loss."""
    validation: list[float] = field(default_factory=list)
    """Best validation loss of the epoch."""
    learning_rate: list[float] = field(default_factory=list)
    """Learning rate during the epoch."""
    score: list[float] = field(default_factory=list)
    """Score of the last validation of the epoch; empty where none is taken."""
    cpu_s: list[float] = field(default_factory=list, compare=False)
    """CPU seconds of all threads of this process in the epoch; of epochs before a resumption as far as known."""


def regression(delta: float) -> Objective:
    """Return the Huber loss of the first element of a batch, the inputs, against the second, the labels.

    Parameters
    ----------
    delta
        Residual at which the loss turns from quadratic to linear.
    """
    huber = nn.HuberLoss(delta=delta)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        value: Tensor = huber(model(batch[0]), batch[1])
        return value

    return loss


def _parts(batch: Batch, size: int) -> Iterator[tuple[Batch, float]]:
    """Yield parts of a batch of `size` objects at the most, each with its share of the batch."""
    count = len(batch[0])
    for start in range(0, count, size):
        part = tuple(values[start : start + size] for values in batch)
        yield part, len(part[0]) / count


_NORMS = 10_000
"""Steps whose gradients are remembered for the percentile that they are shortened to."""

_STATEFUL = ("model", "optimizer", "cosine", "plateau")
"""Parts of the loop that keep their state themselves."""


class _Loop:
    """One model in training, and the weights that did best so far."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        validation: list[Batch],
        config: TrainingConfig,
        clip_percentile: float,
        check: Check | None,
    ) -> None:
        self.model, self.objective, self.validation, self.config = model, objective, validation, config
        self.clip_percentile, self.check, self.score = clip_percentile, check, math.nan
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.cosine = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, config.epochs)
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer, factor=config.factor, patience=config.patience, threshold=0.01
        )
        self.best, self.best_loss, self.steps = deepcopy(model.state_dict()), math.inf, 0
        self.norms = deque[float](maxlen=_NORMS)

    @property
    def rate(self) -> float:
        """Learning rate."""
        return float(self.optimizer.param_groups[0]["lr"])

    def epoch(self, number: int, batches: Iterable[Batch]) -> tuple[float, float]:
        """Train on all batches of an epoch, counted from 1; return the mean training and the best validation loss."""
        total, count, best = 0.0, 0, math.inf
        for batch in batches:
            loss = self.checked(self.step(batch), "training", number)
            total, count = total + loss * len(batch[0]), count + len(batch[0])
            if self.steps % self.config.validate_every == 0:
                best = min(best, self.checked(self.validate(), "validation", number))
        best = self.checked(self.validate(), "validation", number) if best == math.inf else best
        if self.config.schedule == "plateau":
            self.plateau.step(best)
        else:
            self.cosine.step()
        return total / count, best

    def checked(self, loss: float, kind: str, epoch: int) -> float:
        """Return a loss that is finite; from another one a network does not recover."""
        if not math.isfinite(loss):
            clip = f"a clip_norm below {self.config.clip_norm:g}" if self.config.clip_norm else "a clip_norm, such as 1"
            raise InputError(
                f"training: the {kind} loss of epoch {epoch} is {loss}; expected a learning_rate below "
                f"{self.config.learning_rate:g}, or {clip}"
            )
        return loss

    def step(self, batch: Batch) -> float:
        """Take one step of the optimiser and return the loss before it."""
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for part, share in _parts(batch, self.config.micro_batch):
            value = self.loss(part) * share
            torch.autograd.backward(value)
            total += value.item()
        self.clip()
        self.optimizer.step()
        self.steps += 1
        return total

    def clip(self) -> None:
        """Shorten the gradient as the configuration says."""
        if self.clip_percentile:
            gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
            self.norms.append(float(nn.utils.get_total_norm(gradients)))
            nn.utils.clip_grad_norm_(self.model.parameters(), float(np.percentile(self.norms, self.clip_percentile)))
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean loss of a batch."""
        with torch.autocast(batch[0].device.type, dtype=torch.bfloat16, enabled=self.config.bfloat16):
            return self.objective(self.model, batch)

    def checks(self, batch: Batch) -> tuple[float, float]:
        """Return mean loss and mean score of a batch; NaN for a score that nobody asked for."""
        if self.check is None:
            return self.loss(batch).item(), math.nan
        with torch.autocast(batch[0].device.type, dtype=torch.bfloat16, enabled=self.config.bfloat16):
            loss, score = self.check(self.model, batch)
        return loss.item(), score.item()

    def validate(self) -> float:
        """Return the mean loss of the validation batches, and keep the weights if it is the smallest so far."""
        self.model.eval()
        total, score, count = 0.0, 0.0, 0
        with torch.no_grad():
            for batch in self.validation:
                checks = [(share, *self.checks(part)) for part, share in _parts(batch, self.config.micro_batch)]
                total += len(batch[0]) * sum(share * loss for share, loss, _ in checks)
                score += len(batch[0]) * sum(share * value for share, _, value in checks)
                count += len(batch[0])
        self.model.train()
        self.score = score / count
        if total / count < self.best_loss:
            self.best, self.best_loss = deepcopy(self.model.state_dict()), total / count
        return total / count

    def state(self, history: History) -> dict[str, Any]:
        """Return all that the training needs to go on after this epoch."""
        parts = {name: getattr(self, name).state_dict() for name in _STATEFUL}
        best = {"best": self.best, "best_loss": self.best_loss, "steps": self.steps, "norms": list(self.norms)}
        return parts | best | {"history": asdict(history)}

    def restore(self, state: dict[str, Any]) -> History:
        """Go on from a state; return the history up to it."""
        for name in _STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        self.best, self.best_loss, self.steps = state["best"], state["best_loss"], state["steps"]
        self.norms.extend(state.get("norms", ()))
        return History(**state["history"])


def train(
    model: nn.Module,
    batches: Callable[[int], Iterable[Batch]],
    validation: list[Batch],
    config: TrainingConfig,
    *,
    objective: Objective | None = None,
    check: Check | None = None,
    clip_percentile: float = 0.0,
    on_epoch: Callable[[int, History], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> History:
    """Train a model in place; it ends with the weights of the best validation loss.

    Parameters
    ----------
    model
        Network to train.
    batches
        Returns the training batches of an epoch, counted from 0.
    validation
        Validation batches, the same for every epoch.
    config
        Hyperparameters.
    objective
        Mean loss of the model on a batch; the regression of labels with the configuration's Huber loss when none.
    check
        Mean of the same loss and of a score on a validation batch, for a history with scores.
    clip_percentile
        Percentile of the gradient norms of the last 10,000 steps to which longer ones are shortened (AutoClip,
        Seetharaman et al. 2020); 0 for none.
    on_epoch
        Called after each epoch with the number of epochs done and the history so far.
    checkpoint
        Where the state is saved after each epoch. If there is one of this training the epochs that it has are not done
        again, and the result is the same to the bit as without the interruption, if what `batches` returns and the
        random numbers of the model depend on the epoch alone.

    Raises
    ------
    InputError
        A loss was not finite, whatever the epochs before were like, or the checkpoint is not of this training.
    """
    loop = _Loop(model, objective or regression(config.huber_delta), validation, config, clip_percentile, check)
    state = None if checkpoint is None else checkpoint.load()
    history = History() if state is None else loop.restore(state)
    model.train()
    for epoch in range(len(history.training), config.epochs):
        rate, began = loop.rate, time.process_time()
        if config.schedule == "plateau" and rate < config.minimum_rate:
            break
        training, validated = loop.epoch(epoch + 1, batches(epoch))
        history.training.append(training)
        history.validation.append(validated)
        history.learning_rate.append(rate)
        if check is not None:
            history.score.append(loop.score)
        history.cpu_s.append(time.process_time() - began)
        if checkpoint is not None:
            checkpoint.save(loop.state(history))
        if on_epoch is not None:
            on_epoch(epoch + 1, history)
    model.load_state_dict(loop.best)
    model.eval()
    return history
