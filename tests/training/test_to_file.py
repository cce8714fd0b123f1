"""Trainings that write a file, of a pillar with one network of one number."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lensdask.data import load_card, load_weights
from lensdask.errors import InputError
from lensdask.training import Examples, History, Lesson, Trained, TrainingConfig, regression, train_to_file


@dataclass(frozen=True)
class SlopeConfig:
    inputs: int = 1


class Slope(nn.Module):
    def __init__(self, config: SlopeConfig) -> None:
        super().__init__()
        self.config = config
        self.layer = nn.Linear(config.inputs, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


@dataclass(frozen=True)
class Recipe:
    network: SlopeConfig = SlopeConfig()
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(epochs=3, batch=4, learning_rate=0.1))
    slope: float = 2.0
    seed: int = 0


def lesson(recipe: Recipe, made: list[str], **changes: Any) -> Callable[[str], Lesson]:
    """Return how a line of a slope is taught; `made` hears when its examples are made."""

    def examples() -> Examples:
        made.append("examples")
        x = torch.linspace(-1, 1, 4)[:, None]

        return Examples(lambda epoch: [(x + epoch / 10, recipe.slope * (x + epoch / 10))], [(x, recipe.slope * x)])

    settings = {"data": {"data": "a line"}, "notes": {"note": "ours"}} | changes
    return lambda device: (
        made.append(device) or Lesson({"slope": (SlopeConfig, Slope)}, regression(1.0), examples, **settings)
    )


def trained(path: Path, recipe: Recipe = Recipe(), made: list[str] | None = None, **options: Any) -> Trained:
    changes = {name: options.pop(name) for name in ("data", "notes", "initialise", "measured") if name in options}
    prepare = lesson(recipe, [] if made is None else made, **changes)
    return train_to_file(path, recipe, prepare, device="cpu", **options)


class CutOffError(Exception):
    """Stands for a killed process."""


def cut_off(done: int, _history: History) -> None:
    if done == 1:
        raise CutOffError


def test_the_card_says_what_was_done(tmp_path) -> None:
    made: list[str] = []
    reports: list[int] = []
    result = trained(
        tmp_path / "a.safetensors", made=made, on_epoch=lambda done, _: reports.append(done) or made.append(str(done))
    )
    # The examples, which may take long, are made once the input is accepted.
    assert made == ["cpu", "0", "examples", "1", "2", "3"]
    card = load_card(tmp_path / "a.safetensors")
    assert result.card == card
    assert (card["architecture"], card["config"]) == ("slope", {"inputs": 1})
    assert (card["note"], card["data"], card["started_from"]) == ("ours", "a line", None)
    assert set(card["recipe"]) == {"training", "slope", "seed"}
    assert (card["parameters"], card["epochs_done"]) == (1, 3)
    assert card["loss"]["training"] == result.history.training
    assert len(card["loss"]["cpu_s"]) == 3
    assert card["cpu_s"] == pytest.approx(sum(card["loss"]["cpu_s"]), abs=0.051)


def test_the_best_weights_are_measured_for_the_card(tmp_path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(CutOffError):
        trained(path, on_epoch=cut_off)
    found = trained(path, resume=True, measured=lambda network: {"slope": network.layer.weight.item()})
    assert found.card["slope"] == float(load_weights(path)["layer.weight"])
    # Of the epoch before the interruption too.
    assert len(found.card["loss"]["cpu_s"]) == 3


def test_initial_weights_are_those_of_the_seed_unless_changed(tmp_path) -> None:
    still = Recipe(training=TrainingConfig(epochs=1, batch=4, learning_rate=1e-12, minimum_rate=0.0, weight_decay=0.0))

    def weight(name: str, recipe: Recipe = still, **options: Any) -> float:
        trained(tmp_path / f"{name}.safetensors", recipe, **options)
        return float(load_weights(tmp_path / f"{name}.safetensors")["layer.weight"])

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = weight("first")
        state = torch.get_rng_state()
        assert weight("second") == first
        assert torch.equal(torch.get_rng_state(), state)
    assert weight("other", replace(still, seed=1)) != first
    assert weight("seven", initialise=lambda network: network.layer.weight.data.fill_(7.0)) == 7.0
    assert weight("start", start=tmp_path / "seven.safetensors") == 7.0
    assert load_card(tmp_path / "start.safetensors")["started_from"] == load_card(tmp_path / "seven.safetensors")


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path) -> None:
    whole = trained(tmp_path / "a.safetensors")
    path = tmp_path / "b.safetensors"
    with pytest.raises(CutOffError):
        trained(path, on_epoch=cut_off)
    assert [file.name for file in tmp_path.glob("b.*")] == ["b.checkpoint"]
    # What decides nothing may change.
    assert trained(path, notes={"note": "theirs"}, resume=True).history == whole.history
    assert load_card(path)["sha256"] == load_card(tmp_path / "a.safetensors")["sha256"]
    assert {file.suffix for file in tmp_path.iterdir()} == {".safetensors", ".json"}


@pytest.mark.parametrize("change", ["recipe", "data", "start"])
def test_another_training_does_not_go_on(tmp_path, change) -> None:
    trained(tmp_path / "first.safetensors")
    path = tmp_path / "a.safetensors"
    with pytest.raises(CutOffError):
        trained(path, on_epoch=cut_off)
    changes: dict[str, Any] = {
        "recipe": {"recipe": Recipe(slope=3.0)},
        "data": {"data": {"data": "a curve"}},
        "start": {"start": tmp_path / "first.safetensors"},
    }
    made: list[str] = []
    with pytest.raises(InputError, match=r"a\.checkpoint is of a training with another recipe"):
        trained(path, made=made, resume=True, **changes[change])
    assert made == ["cpu"]
    with pytest.raises(InputError, match=r"a\.checkpoint: an interrupted training; continue it with"):
        trained(path)
    trained(path, overwrite=True, **changes[change])
    assert not path.with_suffix(".checkpoint").exists()


def test_weights_that_are_there_are_kept(tmp_path) -> None:
    path = tmp_path / "a.safetensors"
    trained(path)
    for resume in (False, True):
        made: list[str] = []
        with pytest.raises(InputError, match=r"a\.safetensors exists"):
            trained(path, made=made, resume=resume)
        assert made == []
    # Killed between the last epoch and the removal of the state: nothing is lost by going on.
    before = load_card(path)["sha256"]
    with pytest.raises(CutOffError):
        trained(path, overwrite=True, on_epoch=cut_off)
    trained(path, resume=True)
    assert load_card(path)["sha256"] == before


def test_a_training_does_not_go_on_with_other_code(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(CutOffError):
        trained(path, on_epoch=cut_off)
    files = {"lensdask/training/trainer.py": "0"}
    with monkeypatch.context() as patch:
        patch.setattr("lensdask.training.to_file.code_now", lambda _module: {"version": "9", "files": files})
        with pytest.raises(InputError, match=r"a\.checkpoint: .* changed since the run began \(lensdask .* 9 now\)"):
            trained(path, resume=True)
    assert trained(path, resume=True).card["epochs_done"] == 3
