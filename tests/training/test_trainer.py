from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lensdask.errors import InputError
from lensdask.training import History, TrainingConfig, train
from lensdask.training.trainer import Batch

DOUBLE = torch.float64
EXACT = TrainingConfig(
    epochs=80,
    learning_rate=0.03,
    weight_decay=0.0,
    huber_delta=1e6,
    patience=3,
    minimum_rate=1e-7,
    validate_every=4,
    micro_batch=16,
)
"""Least squares, until the rate has fallen by five orders of magnitude."""

TRUE_WEIGHT = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]], dtype=DOUBLE)
TRUE_BIAS = torch.tensor([0.3, -0.2], dtype=DOUBLE)


def examples(count: int, seed: int) -> Batch:
    x = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)
    return x, x @ TRUE_WEIGHT.T + TRUE_BIAS


def shuffled(count: int = 96, size: int = 24) -> Callable[[int], Iterator[Batch]]:
    x, y = examples(count, 0)

    def batches(epoch: int) -> Iterator[Batch]:
        order = torch.randperm(count, generator=torch.Generator().manual_seed(epoch))
        for members in order.split(size):
            yield x[members], y[members]

    return batches


def linear(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(3, 2, dtype=DOUBLE)


def perceptron(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8, dtype=DOUBLE), nn.Tanh(), nn.Linear(8, 2, dtype=DOUBLE))


class Script:
    """A one-weight model whose weight before each validation is written down in advance.

    The training examples are zero, so that the optimiser leaves the weight alone; the validation loss of weight w is
    w² / 2.
    """

    def __init__(self, epochs: list[list[float]]) -> None:
        self.model = nn.Linear(1, 1, bias=False, dtype=DOUBLE)
        self.epochs = epochs
        self.validation = [(torch.ones(1, 1, dtype=DOUBLE), torch.zeros(1, 1, dtype=DOUBLE))]

    def batches(self, epoch: int) -> Iterator[Batch]:
        for weight in self.epochs[epoch]:
            self.model.weight.data.fill_(weight)
            yield torch.zeros(2, 1, dtype=DOUBLE), torch.zeros(2, 1, dtype=DOUBLE)

    def train(self, **changes: object) -> History:
        config = replace(EXACT, **({"epochs": len(self.epochs), "validate_every": 1} | changes))
        return train(self.model, self.batches, self.validation, config)


def weights_for(losses: Iterable[float]) -> list[list[float]]:
    """Return a script of one step per epoch with these validation losses."""
    return [[(2 * loss) ** 0.5] for loss in losses]


def flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("delta", [1e6, 1e-3], ids=["squares", "huber_of_the_paper"])
def test_known_solution_is_recovered(delta) -> None:
    model = linear()
    config = replace(EXACT, huber_delta=delta, epochs=200)
    history = train(model, shuffled(), [examples(32, 1)], config)
    assert history.training[-1] < 1e-3 * history.training[0]
    assert history.validation[-1] < 1e-3 * history.validation[0]
    torch.testing.assert_close(model.weight.detach(), TRUE_WEIGHT, rtol=0, atol=1e-3)
    torch.testing.assert_close(model.bias.detach(), TRUE_BIAS, rtol=0, atol=1e-3)
    assert not model.training


def test_history_holds_mean_losses() -> None:
    # A rate of almost zero leaves the model alone: every loss can be computed beforehand.
    model, loss = linear(), nn.HuberLoss(delta=0.5)
    x, y = examples(96, 0)
    validation = [examples(20, 1), examples(7, 2)]
    everything = [torch.cat(parts) for parts in zip(*validation, strict=True)]
    expected = loss(model(x), y).item(), loss(model(everything[0]), everything[1]).item()
    config = replace(EXACT, learning_rate=1e-15, minimum_rate=0.0, huber_delta=0.5, epochs=2, micro_batch=5)
    history = train(model, shuffled(size=36), validation, config)
    np.testing.assert_allclose(history.training, expected[0], rtol=1e-10)
    np.testing.assert_allclose(history.validation, expected[1], rtol=1e-10)
    assert history.learning_rate == [1e-15, 1e-15]


@pytest.mark.parametrize("micro_batch", [5, 64])
def test_history_holds_mean_scores(micro_batch) -> None:
    loss = nn.HuberLoss(delta=0.5)
    config = replace(EXACT, huber_delta=0.5, epochs=2, micro_batch=micro_batch)

    def check(model, batch):
        return loss(model(batch[0]), batch[1]), batch[0].abs().mean()

    validation = [examples(20, 1), examples(7, 2)]
    scored, plain = (train(linear(), shuffled(), validation, config, check=one) for one in (check, None))
    mean = torch.cat([x for x, _ in validation]).abs().mean().item()
    np.testing.assert_allclose(scored.score, [mean, mean], rtol=1e-12)
    assert scored.validation == plain.validation
    assert plain.score == []


def test_cosine_falls_to_the_last_epoch_whatever_the_loss() -> None:
    # (1 + cos(pi k / n)) / 2 of the initial rate, and no early stop.
    history = Script(weights_for([0.5, 0.1, 0.9, 0.9])).train(schedule="cosine", learning_rate=1e-2, minimum_rate=5e-3)
    np.testing.assert_allclose(history.learning_rate, 5e-3 * (1 + np.cos(np.pi * np.arange(4) / 4)), rtol=1e-12)


def test_unknown_schedule_is_refused() -> None:
    with pytest.raises(InputError, match="schedule: 'linear'; expected plateau or cosine"):
        TrainingConfig(schedule="linear")


def test_objective_of_ones_own_replaces_the_regression() -> None:
    # Least squared distance of the weight from 2: no labels are needed.
    torch.manual_seed(0)
    model = nn.Linear(1, 1, bias=False, dtype=DOUBLE)
    batches = [(torch.ones(4, 1, dtype=DOUBLE),)]
    config = replace(EXACT, epochs=300, learning_rate=0.2, validate_every=1, schedule="cosine", micro_batch=4)
    train(model, lambda _: batches, batches, config, objective=lambda m, batch: (m(batch[0]) - 2).square().mean())
    assert model.weight.item() == pytest.approx(2, abs=1e-3)


def test_half_precision_rounds_the_passes_and_not_the_weights() -> None:
    seen = []

    class Spy(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            seen.append(y.dtype)
            return y

    torch.manual_seed(0)
    model = Spy(3, 2)
    batches = [tuple(part.float() for part in examples(24, 0))]
    train(model, lambda _: batches, batches, replace(EXACT, epochs=2, bfloat16=True))
    assert set(seen) == {torch.bfloat16}
    assert model.weight.dtype == torch.float32


@pytest.mark.parametrize("patience", [1, 3])
def test_rate_falls_on_a_plateau_and_training_stops(patience) -> None:
    # The first epoch sets the mark; the rate falls when more than `patience` epochs did not beat it.
    history = Script(weights_for([0.5] * 40)).train(
        learning_rate=1e-2, factor=0.1, patience=patience, minimum_rate=0.9e-4
    )
    stay = patience + 1
    expected = [1e-2] * (1 + stay) + [1e-3] * stay + [1e-4] * stay
    np.testing.assert_allclose(history.learning_rate, expected, rtol=1e-12)
    assert len(history.training) == len(history.validation) == len(expected) < 40


@pytest.mark.parametrize(("gain", "falls"), [(0.004, True), (0.006, False), (0.02, False)])
def test_an_improvement_counts_from_one_percent(gain, falls) -> None:
    # Measured from the last mark: two gains of 0.4 % are none, two of 0.6 % are one.
    script = Script(weights_for(0.5 * (1 - gain) ** n for n in range(4)))
    rates = script.train(patience=1).learning_rate
    assert rates == [EXACT.learning_rate] * 3 + [EXACT.learning_rate * (EXACT.factor if falls else 1)]


def test_weights_left_are_the_best_ones() -> None:
    # Later epochs get worse, in the last one by very much.
    script = Script([[3.0], [1.0], [0.5], [0.7], [30.0]])
    history = script.train()
    assert script.model.weight.item() == 0.5
    np.testing.assert_allclose(history.validation, [w**2 / 2 for w in (3, 1, 0.5, 0.7, 30)])


def test_best_weights_are_found_inside_an_epoch() -> None:
    # Validated after steps 2, 4, 6: neither the 0.1 of step 3 nor the last weight is seen.
    script = Script([[3.0, 2.0, 0.1], [0.5, 4.0, 5.0]])
    history = script.train(validate_every=2)
    assert script.model.weight.item() == 0.5
    np.testing.assert_allclose(history.validation, [2.0**2 / 2, 0.5**2 / 2])


def test_contradicting_labels_do_not_spoil_the_result() -> None:
    batches, validation = shuffled(), [examples(32, 1)]

    def contradicting(epoch: int) -> Iterator[Batch]:
        return ((x, y if epoch < 20 else -y) for x, y in batches(epoch))

    model = linear()
    history = train(model, contradicting, validation, replace(EXACT, epochs=40, patience=50))
    x, y = validation[0]
    left = nn.functional.huber_loss(model(x), y, delta=EXACT.huber_delta).item()
    assert left == pytest.approx(min(history.validation), rel=1e-12)
    assert history.validation[-1] > 10 * left
    assert 15 <= int(np.argmin(history.validation)) <= 20


def test_diverging_training_leaves_the_best_weights_it_met() -> None:
    model, (x, y) = linear(), examples(32, 1)

    def loss() -> float:
        return nn.functional.huber_loss(model(x), y, delta=EXACT.huber_delta).item()

    before = loss()
    history = train(model, shuffled(), [(x, y)], replace(EXACT, learning_rate=1e6, epochs=3, validate_every=1))
    assert history.validation[-1] > before
    assert loss() == pytest.approx(min(history.validation), rel=1e-12)


@pytest.mark.parametrize("micro_batch", [1, 7, 24])
def test_micro_batches_add_up_to_the_batch(micro_batch) -> None:
    results = []
    for size in (micro_batch, 1000):
        model = perceptron()
        history = train(model, shuffled(), [examples(32, 1)], replace(EXACT, epochs=5, micro_batch=size))
        results.append((flat(model), torch.tensor([history.training, history.validation], dtype=DOUBLE)))
    for part, whole in zip(*results, strict=True):
        torch.testing.assert_close(part, whole, rtol=1e-9, atol=1e-12)
    assert (results[0][0] - flat(perceptron())).abs().min() > 1e-3


@pytest.mark.parametrize("micro_batch", [7, 24])
def test_long_gradients_are_shortened_and_keep_their_direction(micro_batch) -> None:
    gradients = {}
    for norm in (0.0, 0.01, 1e3):
        model = linear()
        config = replace(EXACT, epochs=1, clip_norm=norm, micro_batch=micro_batch)
        train(model, shuffled(24, 24), [examples(8, 1)], config)
        gradients[norm] = torch.cat([p.grad.flatten() for p in model.parameters()])
    # That of the whole batch is shortened, not that of each part.
    assert gradients[0.0].norm() > 0.1
    torch.testing.assert_close(gradients[0.01], 0.01 * gradients[0.0] / gradients[0.0].norm(), rtol=1e-4, atol=0)
    torch.testing.assert_close(gradients[1e3], gradients[0.0], rtol=0, atol=0)


def norms_of_steps(percentile: float) -> np.ndarray:
    """Return the norms with which four steps end whose gradients are once to four times the first."""
    model, norms, x = linear(), [], examples(8, 0)[0]
    # The rate is nothing, so that every step sees the same weights.
    config = replace(EXACT, epochs=4, learning_rate=1e-30, minimum_rate=0.0)

    def batches(epoch: int) -> Iterator[Batch]:
        yield x, model(x).detach() + (epoch + 1)

    def on_epoch(_done: int, _history: History) -> None:
        norms.append(torch.nn.utils.get_total_norm([p.grad for p in model.parameters()]).item())

    train(model, batches, [examples(8, 1)], config, clip_percentile=percentile, on_epoch=on_epoch)
    return np.array(norms) / norms[0]


def test_gradients_are_shortened_to_a_percentile_of_those_so_far() -> None:
    np.testing.assert_allclose(norms_of_steps(0.0), [1, 2, 3, 4], rtol=1e-9)
    np.testing.assert_allclose(norms_of_steps(50.0), [1, 1.5, 2, 2.5], rtol=1e-5)


def test_epochs_are_reported() -> None:
    reports: list[tuple[int, int, float]] = []

    def on_epoch(done: int, history: History) -> None:
        reports.append((done, len(history.validation), history.training[-1]))

    history = train(linear(), shuffled(), [examples(8, 1)], replace(EXACT, epochs=4), on_epoch=on_epoch)
    assert reports == [(n, n, history.training[n - 1]) for n in (1, 2, 3, 4)]


@pytest.mark.parametrize(("every", "times"), [(1, 12), (2, 6), (3, 4), (4, 3), (5, 3), (100, 3)])
def test_validation_every_some_steps(every, times) -> None:
    # Three epochs of four steps. Steps are counted through; an epoch without a validation gets one at its end.
    validations = []

    class Counting(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            if not self.training:
                validations.append(torch.is_grad_enabled())
            return super().forward(x)

    model = Counting(3, 2, dtype=DOUBLE)
    train(model, shuffled(), [examples(16, 1)], replace(EXACT, epochs=3, validate_every=every))
    assert validations == [False] * times


def test_same_seed_gives_the_same_bits() -> None:
    def trained(seed: int) -> tuple[bytes, History]:
        model = perceptron(seed)
        history = train(model, shuffled(), [examples(32, 1)], replace(EXACT, epochs=5))
        return flat(model).numpy().tobytes(), history

    first, second, other = trained(0), trained(0), trained(1)
    assert first == second
    assert first[0] != other[0]


def test_defaults_are_those_of_the_paper() -> None:
    # Lin, Li et al. 2026, Table 1.
    config = TrainingConfig()
    assert (config.epochs, config.batch, config.learning_rate, config.weight_decay) == (50, 500, 1e-3, 1e-4)
    assert (config.huber_delta, config.factor, config.patience, config.minimum_rate) == (1e-3, 0.316, 5, 1e-5)


BAD = [
    *((name, value) for name in ("epochs", "batch", "validate_every", "micro_batch") for value in (0, -1)),
    *((name, value) for name in ("learning_rate", "huber_delta") for value in (0.0, -1e-3, float("nan"))),
    *(("factor", value) for value in (0.0, 1.0, -0.3, float("nan"))),
    *(("clip_norm", value) for value in (-1.0, float("inf"), float("nan"))),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad_hyperparameters_are_refused(name, value) -> None:
    with pytest.raises(InputError, match=rf"^training {name}: {value}; expected a"):
        TrainingConfig(**{name: value})
