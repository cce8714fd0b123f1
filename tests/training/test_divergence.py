"""A loss that is no number ends a training at once: nothing of it may reach a card, which is JSON."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import nn

from lensdask.errors import InputError
from lensdask.training import Batch, Checkpoint, History, TrainingConfig, train

CONFIG = TrainingConfig(epochs=3, batch=4, learning_rate=0.01, huber_delta=1e6, micro_batch=4)
ONE = torch.ones(4, 1, dtype=torch.float64)
ZERO = torch.zeros_like(ONE)


def one_weight() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(1, 1, bias=False, dtype=torch.float64)


@pytest.mark.parametrize("lost", [float("nan"), float("inf")])
@pytest.mark.parametrize("validate_every", [1, 3, 100])
@pytest.mark.parametrize(("epoch", "step"), [(0, 0), (1, 1), (2, 3)], ids=["first", "middle", "last"])
def test_of_one_training_batch(tmp_path, lost, validate_every, epoch, step) -> None:
    # Four steps in each of three epochs. With the last of all steps the validations can have been good ones.
    def batches(number: int) -> Iterator[Batch]:
        return ((ONE, lost * ONE if (number, place) == (epoch, step) else ONE) for place in range(4))

    reports: list[History] = []
    checkpoint = Checkpoint(tmp_path / "a.checkpoint", "recipe")
    config = replace(CONFIG, validate_every=validate_every)
    with pytest.raises(
        InputError, match=rf"^training: the training loss of epoch {epoch + 1} is (nan|inf); expected a "
    ):
        train(
            one_weight(),
            batches,
            [(ONE, ONE)],
            config,
            on_epoch=lambda _, history: reports.append(history),
            checkpoint=checkpoint,
        )
    assert len(reports) == epoch
    # What is kept is the end of the epoch before.
    kept = checkpoint.load()
    assert (kept is None) if epoch == 0 else (len(kept["history"]["training"]) == epoch)


def test_of_the_last_validation_after_a_good_one() -> None:
    # The examples are zero, so that the optimiser leaves the weights alone that are written down here.
    model, weights = one_weight(), [[1.0, 0.5], [0.4, 1e308]]

    def batches(epoch: int) -> Iterator[Batch]:
        for weight in weights[epoch]:
            model.weight.data.fill_(weight)
            yield ZERO, ZERO

    config = replace(CONFIG, epochs=2, validate_every=1)
    with pytest.raises(InputError, match=r"^training: the validation loss of epoch 2 is inf; expected a learning_rate"):
        train(model, batches, [(ONE, ZERO)], config)


@pytest.mark.parametrize(("norm", "advice"), [(0.0, "a clip_norm, such as 1$"), (0.5, r"a clip_norm below 0\.5$")])
def test_advises_less_than_there_was(norm, advice) -> None:
    config = replace(CONFIG, clip_norm=norm)
    with pytest.raises(InputError, match=rf"of epoch 1 is nan; expected a learning_rate below 0\.01, or {advice}"):
        train(one_weight(), lambda _: [(ONE, ZERO * float("nan"))], [(ONE, ZERO)], config)
