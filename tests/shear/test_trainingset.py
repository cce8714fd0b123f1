import dataclasses
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from lensdask.compute import describe_device
from lensdask.conventions import FWHM_PER_SIGMA
from lensdask.data import file_sha256, load_card, load_weights
from lensdask.errors import InputError
from lensdask.fourier import coordinates, half_plane
from lensdask.shear import read_recipe, train
from lensdask.shear.networks import training as train_module
from lensdask.shear.networks.recipe import Recipe
from lensdask.shear.networks.training import FIRST_PAIR
from lensdask.shear.networks.trainingset import TrainingSet, make_training_set
from lensdask.shear.shapes.d4cnn import PAPER, SMALL, D4CNNConfig
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.shapes.fpfs import fpfs_shapes, make_moments
from lensdask.shear.shapes.resmooth import Grid
from lensdask.shear.simulation.catsim import MockCatSim
from lensdask.training import History, TrainingConfig

PIXELS = Grid(64, 0.2)
KERNEL_FWHM = 0.85
IDS = 2 * (2**40 + np.arange(240))


def made(ids: np.ndarray = IDS, label: str = "fpfs", seed: int = 3, **changes: object) -> TrainingSet:
    settings = {"grid": PIXELS, "kernel_fwhm": KERNEL_FWHM, "signal_to_noise": (5.0, 40.0)} | changes
    return make_training_set(MockCatSim(), ids, label=label, seed=seed, **settings)


@pytest.fixture(scope="module")
def dataset() -> TrainingSet:
    return made()


def matched_filter(dataset: TrainingSet) -> np.ndarray:
    """Return the signal-to-noise of the best linear estimate of the flux, galaxy by galaxy."""
    stamps = dataset.stamps.astype(np.float64)
    return np.array([np.vdot(s, s) / np.sqrt(np.vdot(s, s) * dataset.noise_sigma**2) for s in stamps])


def ellipticity(resmoothed: torch.Tensor) -> np.ndarray:
    """Return the FPFS ellipticity of resmoothed images, whose PSF is the resmoothing kernel."""
    x = coordinates(*PIXELS)
    kernel = np.exp(-(x**2 + x[:, None] ** 2) / (2 * (KERNEL_FWHM / FWHM_PER_SIGMA) ** 2))
    moments = make_moments(kernel / kernel.sum(), pixel_scale=PIXELS.spacing)
    return fpfs_shapes(resmoothed.numpy().astype(np.float64), moments)[:2].T


def epoch_of(dataset: TrainingSet, epoch: int, batch: int = 50) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*dataset.batches(epoch, batch), strict=True)
    return torch.cat(images).numpy(), torch.cat(labels).numpy()


# Training stamps


@pytest.mark.parametrize("limits", [(5.0, 40.0), (10.0, 10.0)])
def test_signal_to_noise_is_uniform_in_its_range(dataset, limits) -> None:
    low, high = limits
    found = np.sort(matched_filter(dataset if high > low else made(IDS[:10], signal_to_noise=limits)))
    assert found[0] >= low * (1 - 1e-6)
    assert found[-1] <= high * (1 + 1e-6)
    if high > low:
        # Kolmogorov and Smirnov: the distance exceeds 1.63 / sqrt(n) once in a hundred times.
        rank, uniform = np.arange(len(found)) / len(found), (found - low) / (high - low)
        distance = max(np.max(uniform - rank), np.max(rank + 1 / len(found) - uniform))
        assert distance < 1.63 / np.sqrt(len(found))


@pytest.mark.parametrize("label", ["fpfs", "distortion"])
def test_a_galaxy_depends_on_its_id_only(label) -> None:
    whole = made(IDS[:20], label)
    parts = [made(ids, label) for ids in (IDS[:7], IDS[7:20])]
    np.testing.assert_array_equal(whole.stamps, np.concatenate([p.stamps for p in parts]))
    # Batches of another size may be rounded otherwise.
    np.testing.assert_allclose(whole.labels, np.concatenate([p.labels for p in parts]), rtol=0, atol=1e-6)
    backwards = made(IDS[:20][::-1], label)
    np.testing.assert_array_equal(whole.stamps, backwards.stamps[::-1])
    assert not np.any(made(IDS[:20], label, seed=4).labels == whole.labels)


def test_labels_of_fpfs_are_those_of_the_noiseless_stamps(dataset) -> None:
    still = dataclasses.replace(dataset, noise_sigma=0.0)
    images, labels = epoch_of(still, 0)
    np.testing.assert_allclose(ellipticity(torch.from_numpy(images)), labels, rtol=0, atol=2e-5)
    assert labels.dtype == np.float32
    assert (np.abs(labels).max(axis=0) > 0.2).all()


def test_labels_of_distortion_are_distortions() -> None:
    labels = made(IDS, "distortion").labels
    assert labels.shape == (len(IDS), 2)
    assert np.hypot(*labels.T).max() <= 1
    assert (np.abs(labels).max(axis=0) > 0.5).all()
    # Isotropic: the mean of 240 labels of scatter 0.3 is 0.02.
    assert np.abs(labels.mean(axis=0)).max() < 0.1
    # And about the galaxies of the stamps, which the PSF makes rounder.
    shapes = made(IDS, "fpfs").labels
    for i in range(2):
        assert np.corrcoef(labels[:, i], shapes[:, i])[0, 1] > 0.7


# Batches


def test_labels_follow_quarter_turns_and_mirrors(dataset) -> None:
    # A galaxy with both components large, and off the centre like all of them: eight images that differ.
    one = int(np.argmax(np.abs(dataset.labels).min(axis=1)))
    label = dataset.labels[one]
    assert np.abs(label).min() > 0.1
    alone = dataclasses.replace(
        dataset, stamps=dataset.stamps[one : one + 1], labels=dataset.labels[one : one + 1], noise_sigma=0.0
    )
    images, signs = set(), set()
    for epoch in range(60):
        ((image, turned),) = alone.batches(epoch, 1)
        np.testing.assert_allclose(ellipticity(image), turned, rtol=0, atol=2e-5)
        changes = turned[0].numpy() / label
        images.add(image.numpy().tobytes())
        signs.add(tuple(changes.tolist()))
    assert len(images) == 8
    assert signs == {(1, 1), (-1, -1), (1, -1), (-1, 1)}


def test_every_galaxy_comes_once_an_epoch(dataset) -> None:
    marked = dataclasses.replace(dataset, labels=np.repeat(np.arange(240, dtype=np.float32)[:, None], 2, axis=1))
    orders = []
    for epoch in (0, 1):
        sizes = [len(y) for _, y in marked.batches(epoch, 50)]
        assert sizes == [50, 50, 50, 50, 40]
        orders.append(np.abs(epoch_of(marked, epoch)[1][:, 0]))
        np.testing.assert_array_equal(np.sort(orders[-1]), np.arange(240))
    assert np.mean(orders[0] == orders[1]) < 0.05


def test_an_epoch_repeats_bit_for_bit_and_no_other_does(dataset) -> None:
    few = dataclasses.replace(dataset, stamps=dataset.stamps[:30], labels=dataset.labels[:30])
    images, labels = epoch_of(few, 5, 8)
    again = epoch_of(few, 5, 8)
    np.testing.assert_array_equal(images, again[0], strict=True)
    np.testing.assert_array_equal(labels, again[1], strict=True)
    for other in (epoch_of(few, 6, 8), epoch_of(dataclasses.replace(few, seed=4), 5, 8)):
        assert not np.any(other[0] == images)


def test_noise_is_that_of_image_and_renoise(dataset) -> None:
    # Without galaxies only noise is left: new at every epoch and for every galaxy, of the variance of both planes.
    empty = dataclasses.replace(dataset, stamps=np.zeros_like(dataset.stamps[:60]), labels=dataset.labels[:60])
    noise = np.concatenate([epoch_of(empty, epoch)[0] for epoch in (0, 1)]).astype(np.float64)
    kernels = empty.resmoother.kernel, empty.resmoother.kernel90
    power = sum(np.sum(np.abs(kernel) ** 2 * half_plane(64)) for kernel in kernels)
    expected = empty.noise_sigma**2 * power / 64**2
    # About 200 independent patches per stamp.
    assert noise.var() == pytest.approx(expected, rel=0.05)
    flat = noise.reshape(120, -1)
    correlation = np.corrcoef(flat) - np.eye(120)
    assert np.abs(correlation).max() < 0.5


# Training


TINY = Recipe(
    network=D4CNNConfig(channels=(2, 4), strides=(1, 2), hidden=4, grid_points=16, grid_spacing=0.4),
    training=TrainingConfig(epochs=2, batch=20, validate_every=2),
    galaxies=64,
    validation=16,
    seed=5,
)


@pytest.mark.parametrize("label", ["fpfs", "distortion"])
def test_training_writes_weights_and_their_card(tmp_path: Path, monkeypatch, label) -> None:
    drawn = []

    def spy(source: MockCatSim, ids: np.ndarray, **options: object) -> TrainingSet:
        drawn.append(ids)
        return make_training_set(source, ids, **options)

    monkeypatch.setattr(train_module, "make_training_set", spy)
    reports: list[tuple[int, int]] = []

    def on_epoch(done: int, history: History) -> None:
        reports.append((done, len(history.training)))

    path = tmp_path / "new" / "tiny.safetensors"
    recipe = dataclasses.replace(TINY, label=label)
    days = {datetime.now(UTC).date().isoformat()}
    history = train(path, recipe, device="cpu", on_epoch=on_epoch).history
    days.add(datetime.now(UTC).date().isoformat())
    assert reports == [(0, 0), (1, 1), (2, 2)]

    card = load_card(path)
    assert card["sha256"] == file_sha256(path)
    assert card["date"] in days
    assert card["machine"] == describe_device("cpu")
    assert card["epochs_done"] == 2
    assert card["loss"] == dataclasses.asdict(history)
    assert card["loss"].pop("score") == []
    assert all(len(curve) == 2 and np.isfinite(curve).all() for curve in card["loss"].values())
    assert card["recipe"]["signal_to_noise"] == [5.0, 150.0]
    assert card["recipe"]["label"] == label
    assert card["galaxies"] == MockCatSim().fingerprint
    assert card["parameters"] == sum(t.numel() for t in load_weights(path).values())
    assert find_estimator(path).sha256 == card["sha256"]

    # A simulation numbers its pairs from 0, and will not reach 2^40; and a pair is one galaxy, not two.
    pairs = np.concatenate(drawn) // 2
    assert FIRST_PAIR == 2**40
    assert pairs.min() >= FIRST_PAIR
    assert len(np.unique(pairs)) == len(pairs) == 80


class CutOffError(Exception):
    """Stands for a killed process."""


def cut_off(done: int, _history: History) -> None:
    if done == 2:
        raise CutOffError


def never(done: int, _history: History) -> None:
    pytest.fail(f"epoch {done} was trained")


def sha256_of(path: Path, recipe: Recipe, **options: object) -> str:
    train(path, recipe, device="cpu", **options)
    return str(load_card(path)["sha256"])


LONGER = dataclasses.replace(TINY, galaxies=24, training=dataclasses.replace(TINY.training, epochs=3))
BY_SCORE = dataclasses.replace(
    LONGER, label="score", training=dataclasses.replace(LONGER.training, schedule="cosine", bfloat16=True)
)


@pytest.mark.parametrize("recipe", [LONGER, BY_SCORE], ids=["fpfs", "score"])
def test_training_repeats_bit_for_bit_and_after_being_cut_off(tmp_path: Path, recipe) -> None:
    with torch.random.fork_rng(devices=[]):
        first = sha256_of(tmp_path / "first.safetensors", recipe)
        with pytest.raises(CutOffError):
            train(tmp_path / "second.safetensors", recipe, device="cpu", on_epoch=cut_off)
        torch.manual_seed(99)
        reports: list[int] = []
        resumed = sha256_of(
            tmp_path / "second.safetensors", recipe, resume=True, on_epoch=lambda done, _: reports.append(done)
        )
    assert resumed == first
    assert reports == [0, 3]
    losses = [load_card(tmp_path / f"{name}.safetensors")["loss"] for name in ("first", "second")]
    # Both took as long as they did.
    assert all(len(loss.pop("cpu_s")) == 3 for loss in losses)
    assert losses[0] == losses[1]
    assert not list(tmp_path.glob("*.checkpoint"))
    assert sha256_of(tmp_path / "other.safetensors", dataclasses.replace(recipe, seed=6)) != first


def test_an_interrupted_training_is_not_lost_by_mistake(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(CutOffError):
        train(path, LONGER, device="cpu", on_epoch=cut_off)
    with pytest.raises(InputError, match=r"a\.checkpoint: an interrupted training; continue it with resume=True or"):
        train(path, LONGER, device="cpu", on_epoch=never)
    other = dataclasses.replace(LONGER, signal_to_noise=(5.0, 40.0))
    for changed in (other, dataclasses.replace(LONGER, network=dataclasses.replace(LONGER.network, hidden=5))):
        with pytest.raises(InputError, match="of a training with another recipe"):
            train(path, changed, device="cpu", resume=True, on_epoch=never)
    assert sha256_of(path, other, overwrite=True) == sha256_of(tmp_path / "b.safetensors", other)


def test_training_goes_on_from_weights(tmp_path: Path) -> None:
    first = tmp_path / "first.safetensors"
    train(first, TINY, device="cpu")
    # A rate that changes nothing that single precision can tell.
    frozen = dataclasses.replace(TINY.training, learning_rate=1e-12, minimum_rate=0.0, weight_decay=0.0)
    train(tmp_path / "second.safetensors", dataclasses.replace(TINY, seed=6, training=frozen), start=first)
    assert load_card(tmp_path / "second.safetensors")["started_from"] == load_card(first)
    before, after = (load_weights(tmp_path / f"{name}.safetensors") for name in ("first", "second"))
    for name, weights in before.items():
        torch.testing.assert_close(after[name], weights, rtol=1e-5, atol=1e-8)
    larger = dataclasses.replace(TINY, network=dataclasses.replace(TINY.network, hidden=5))
    with pytest.raises(
        InputError, match=r"first\.safetensors: weights of a different network; expected the network of the recipe"
    ):
        train(tmp_path / "third.safetensors", larger, start=first, device="cpu", on_epoch=never)


def test_an_output_that_cannot_be_is_refused_before_training(tmp_path: Path) -> None:
    present = tmp_path / "present.safetensors"
    present.write_bytes(b"precious")
    for path, message in ((present, "present.safetensors exists"), (tmp_path / "a.pt", r"suffix '\.pt'; expected")):
        with pytest.raises(InputError, match=message):
            train(path, TINY, device="cpu", on_epoch=never)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="expected a directory for the weights"):
        train(tmp_path / "file" / "a.safetensors", TINY, device="cpu", on_epoch=never)
    assert present.read_bytes() == b"precious"
    train(present, dataclasses.replace(TINY, galaxies=4), device="cpu", overwrite=True)
    assert find_estimator(present).sha256 == file_sha256(present)


# Recipes


def test_recipe_of_the_paper() -> None:
    recipe = read_recipe("d4cnn-paper")
    assert recipe.network == PAPER
    assert recipe.training == TrainingConfig()
    assert (recipe.label, recipe.signal_to_noise, recipe.galaxies) == ("distortion", (5.0, 40.0), 10_000)


def test_no_name_is_the_recipe_of_the_shipped_network() -> None:
    assert read_recipe() == read_recipe("d4cnn-fpfs") == Recipe()
    assert Recipe().network == SMALL
    assert Recipe().signal_to_noise == (5.0, 150.0)


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(
        'label = "distortion"\ngalaxies = 77\nsignal_to_noise = [6, 30.5]\nmagnitude_limit = 24\n'
        '[training]\nepochs = 3\nlearning_rate = 0.01\n[network]\nbase = "paper"\nhidden = 7\nresidual = 1\n'
    )
    assert read_recipe(path) == Recipe(
        network=dataclasses.replace(PAPER, hidden=7, residual=1),
        training=TrainingConfig(epochs=3, learning_rate=0.01),
        label="distortion",
        signal_to_noise=(6, 30.5),
        galaxies=77,
        magnitude_limit=24,
    )
    path.write_text("[network]\nchannels = [8, 8]\nstrides = [1, 2]\n")
    assert read_recipe(path).network == dataclasses.replace(SMALL, channels=(8, 8), strides=(1, 2))


BAD_FILES = {
    "no_toml": ("galaxies =", "expected a TOML file"),
    "not_text": (b"\xff\xfe\x00", "expected a TOML file"),
    "unknown": ("galaxy = 5", "unknown setting 'galaxy'; expected galaxies, label"),
    "unknown_training": ("[training]\nepoch = 5", r"\[training\]: unknown setting 'epoch'; expected batch, bfloat16"),
    "unknown_network": ("[network]\nwidth = 5", r"\[network\]: unknown setting 'width'; expected activation, channels"),
    "unknown_table": ("[optimiser]\nname = 'adam'", "unknown setting 'optimiser'"),
    "unknown_base": ("[network]\nbase = 'large'", r"\[network\]: base 'large'; expected small, paper, shipped$"),
    "text_for_number": ("galaxies = 'many'", "galaxies is 'many'; expected something like 10000"),
    "fraction_for_count": ("galaxies = 10.5", r"galaxies is 10\.5; expected something like 10000"),
    "truth_for_count": ("galaxies = true", "galaxies is True; expected"),
    "truth_for_fraction": ("[training]\nfactor = true", "factor is True; expected something like 0.316"),
    "number_for_list": ("signal_to_noise = 5", r"signal_to_noise is 5; expected something like \(5\.0, 150\.0\)"),
    "text_in_list": ("signal_to_noise = [5, 'x']", r"signal_to_noise is \(5, 'x'\); expected"),
    "number_for_text": ("label = 1", "label is 1; expected something like 'fpfs'"),
    "number_for_training": ("training = 5", r"\[training\]: 5; expected a table"),
    "list_for_network": ("network = [1, 2]", r"\[network\]: \[1, 2\]; expected a table"),
    "score_on_plateau": ("label = 'score'", "expected .training. schedule = 'cosine'"),
    "bad_label": ("label = 'shear'", "label: 'shear'; expected distortion, fpfs or score"),
    "bad_network": ("[network]\nkernel_size = 4", "kernel_size 4.*expected an odd size"),
    "no_layers": ("[network]\nchannels = []\nstrides = []", r"channels \(\), strides \(\); expected"),
    "bad_training": ("[training]\nepochs = 0", "training epochs: 0; expected a positive whole number"),
    "bad_seed": ("seed = -1", "seed: -1; expected a whole number"),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_recipes_are_refused_in_one_line(tmp_path: Path, content, message) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(InputError, match=f"^{re.escape(str(path))} cannot be read .*; expected a TOML file$"):
            read_recipe(path)


BAD_RECIPES = {
    "seed": ({"seed": -1}, r"^seed: -1; expected"),
    "large_seed": ({"seed": 2**63}, r"^seed: 9223372036854775808; expected"),
    "label": ({"label": "shear"}, r"^label: 'shear'; expected distortion, fpfs or score"),
    "no_galaxies": ({"galaxies": 0}, r"^galaxies: 0; expected a whole number from 1 to 1e"),
    "no_validation": ({"validation": 0}, r"^validation: 0; expected a whole number from 1 to 1e"),
    **{
        f"signal_to_noise_{i}": ({"signal_to_noise": value}, r"^signal_to_noise: .*; expected two positive numbers")
        for i, value in enumerate([(), (5.0,), (5.0, 10.0, 20.0), (0.0, 5.0), (-1.0, 5.0), (9.0, 5.0), (5.0, np.nan)])
    },
}


@pytest.mark.parametrize(("changes", "message"), BAD_RECIPES.values(), ids=BAD_RECIPES)
def test_bad_recipes_cannot_be_made(changes, message) -> None:
    with pytest.raises(InputError, match=message):
        Recipe(**changes)
