import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from lensdask.errors import InputError
from lensdask.training import Batch, Checkpoint, History, TrainingConfig, train

CONFIG = TrainingConfig(epochs=6, batch=8, learning_rate=0.01, validate_every=3, patience=0, micro_batch=8)


class CutOffError(Exception):
    """Stands for a killed process."""


def examples(count: int, seed: int) -> Batch:
    x = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return x, torch.tanh(x.sum(dim=1, keepdim=True))


def batches(epoch: int) -> Iterator[Batch]:
    # Dropout draws from the global generator, which a resumed training finds elsewhere.
    torch.manual_seed(epoch)
    x, y = examples(32, epoch)
    return zip(x.split(8), y.split(8), strict=True)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))


def trained(config: TrainingConfig, checkpoint: Checkpoint | None, stop: int | None = None) -> tuple[bytes, History]:
    def on_epoch(done: int, _history: History) -> None:
        if done == stop:
            raise CutOffError

    model = network()
    history = train(model, batches, [examples(16, 99)], config, on_epoch=on_epoch, checkpoint=checkpoint)
    return b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values()), history


@pytest.fixture(autouse=True)
def _seeds() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        yield


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
@pytest.mark.parametrize("stops", [[1], [2, 5]])
def test_a_training_that_was_cut_off_ends_with_the_same_bits(tmp_path: Path, schedule, stops) -> None:
    config = replace(CONFIG, schedule=schedule)
    whole = trained(config, None)
    checkpoint = Checkpoint(tmp_path / "new" / "a.checkpoint", "recipe")
    for stop in stops:
        with pytest.raises(CutOffError):
            trained(config, checkpoint, stop)
    assert trained(config, checkpoint) == whole
    assert len(whole[1].training) == 6


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "a.checkpoint", "recipe")
    first = trained(CONFIG, checkpoint)
    model = network()
    history = train(
        model, lambda epoch: pytest.fail(f"epoch {epoch}"), [examples(16, 99)], CONFIG, checkpoint=checkpoint
    )
    assert asdict(history) == asdict(first[1])
    assert b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values()) == first[0]


def test_state_comes_back_as_it_was(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "a.checkpoint", "recipe")
    assert checkpoint.load() is None
    tensors = {
        "half": torch.arange(3, dtype=torch.bfloat16),
        "count": torch.tensor(7),
        "double": torch.rand(2, 3).double(),
    }
    plain = {"loss": math.inf, "none": None, "on": True, "name": "ä", "list": [1, 2.5]}
    checkpoint.save({"tensors": tensors, "plain": plain, "by_number": {0: [torch.ones(1)], 12: []}})
    found = checkpoint.load()
    assert found is not None
    assert found["plain"] == plain
    assert list(found["by_number"]) == [0, 12]
    torch.testing.assert_close(found["tensors"], tensors, rtol=0, atol=0)
    torch.testing.assert_close(found["by_number"][0], [torch.ones(1)], rtol=0, atol=0)
    checkpoint.remove()
    checkpoint.remove()
    assert list(tmp_path.iterdir()) == []


def test_another_training_is_refused(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "a.checkpoint", "one").save({})
    with pytest.raises(InputError, match=r"a\.checkpoint is of a training with another recipe"):
        Checkpoint(tmp_path / "a.checkpoint", "other").load()


@pytest.mark.parametrize("content", [b"", b"no safetensors at all", None])
def test_damage_is_told(tmp_path: Path, content) -> None:
    checkpoint = Checkpoint(tmp_path / "a.checkpoint", "one")
    checkpoint.save({"weights": torch.rand(1000)})
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:500] if content is None else content)
    with pytest.raises(InputError, match=r"a\.checkpoint is damaged \(.*\); expected the checkpoint of a training"):
        checkpoint.load()


def test_a_write_that_fails_leaves_the_last_state(tmp_path: Path, monkeypatch) -> None:
    checkpoint = Checkpoint(tmp_path / "a.checkpoint", "one")
    checkpoint.save({"epoch": 1})

    def full(_descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("lensdask.training.checkpoint.os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save({"epoch": 2})
    assert checkpoint.load() == {"epoch": 1}
