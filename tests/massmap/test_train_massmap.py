import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import lensdask
from lensdask.compute import describe_device
from lensdask.data import file_sha256, load_card, load_into, load_weights, write
from lensdask.errors import InputError
from lensdask.maps.fields import ShearMaps, shear_dataset
from lensdask.maps.mock import Survey, observe
from lensdask.massmap import read_recipe, train
from lensdask.massmap.evaluation import evaluate
from lensdask.massmap.method import SHIPPED_WEIGHTS
from lensdask.massmap.networks import training as train_module
from lensdask.massmap.networks.architectures import build_network, make_network, network_maps, note_of
from lensdask.massmap.networks.cha import CHA_PAPER, ChaConfig
from lensdask.massmap.networks.h21 import H21_SMALL
from lensdask.massmap.networks.miu2net import MIU2NET_PAPER, MIU2NetConfig
from lensdask.massmap.networks.recipe import Recipe
from lensdask.massmap.networks.trainingset import FIRST_TRAINING, FIRST_VALIDATION
from lensdask.massmap.reconstruction import reconstruct
from lensdask.sky.simulate import SkyConfig, simulate_sky
from lensdask.training import History, TrainingConfig, recipe_names

RECIPES = recipe_names(("massmap-",))

TINY = Recipe(
    network=ChaConfig(channels=4, first_kernels=(3, 5, 9), large_kernel=5, dropout=0.25, input_scale=0.03),
    sky=SkyConfig(size=16, pixel_scale=1.64),
    training=TrainingConfig(epochs=3, batch=4, learning_rate=1e-3, validate_every=2, micro_batch=4, clip_norm=1.0),
    fields=12,
    validation=4,
    seed=5,
)

TINY_MIU2NET = dataclasses.replace(
    TINY,
    network=MIU2NetConfig(
        heights=(3, 0), middle=(2, 2), channels=(4, 4), middle_up=(2,), channels_up=(4,), inputs="shear+mask"
    ),
    loss="miu2net",
    fresh=True,
    survey=Survey(mask_fraction=0.1, mask_radius=4.0),
)


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


def test_training_writes_weights_and_their_card(tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []
    path = tmp_path / "new" / "tiny.safetensors"
    history = train(
        path, TINY, device="cpu", on_epoch=lambda done, history: reports.append((done, len(history.training)))
    ).history
    assert reports == [(0, 0), (1, 1), (2, 2), (3, 3)]
    card = load_card(path)
    assert card["sha256"] == file_sha256(path)
    assert card["machine"] == describe_device("cpu")
    assert (card["architecture"], card["pixel_scale"], card["epochs_done"]) == ("cha", 1.64, 3)
    assert card["loss"] == dataclasses.asdict(history)
    assert card["loss"].pop("score") == []
    assert all(len(curve) == 3 and np.isfinite(curve).all() for curve in card["loss"].values())
    assert card["recipe"]["survey"] == dataclasses.asdict(TINY.survey)
    assert card["recipe"]["sky"] == dataclasses.asdict(TINY.sky)
    spans = card["data"]["ids"]
    assert spans == {
        "training": [FIRST_TRAINING, FIRST_TRAINING + 11],
        "validation": [FIRST_VALIDATION, FIRST_VALIDATION + 3],
    }
    weights = load_weights(path)
    network = build_network(card)
    network.load_state_dict(weights)
    assert network.config == TINY.network
    assert card["parameters"] == sum(p.numel() for p in network.parameters())
    assert [file.name for file in sorted(path.parent.iterdir())] == ["tiny.json", "tiny.safetensors"]


@pytest.mark.parametrize("recipe", [TINY, TINY_MIU2NET], ids=["cha", "miu2net"])
def test_training_repeats_bit_for_bit_and_after_being_cut_off(tmp_path: Path, recipe) -> None:
    with torch.random.fork_rng(devices=[]):
        first = sha256_of(tmp_path / "first.safetensors", recipe)
        state = torch.get_rng_state()
        with pytest.raises(CutOffError):
            train(tmp_path / "second.safetensors", recipe, device="cpu", on_epoch=cut_off)
        # A training leaves the caller's random numbers alone, whatever its dropout drew.
        assert torch.equal(state, torch.get_rng_state())
        torch.manual_seed(99)
        assert sha256_of(tmp_path / "second.safetensors", recipe, resume=True) == first
    assert not list(tmp_path.glob("*.checkpoint"))
    assert sha256_of(tmp_path / "other.safetensors", dataclasses.replace(recipe, seed=6)) != first


def test_an_interrupted_training_is_not_lost_by_mistake(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(CutOffError):
        train(path, TINY, device="cpu", on_epoch=cut_off)
    with pytest.raises(InputError, match=r"a\.checkpoint: an interrupted training; continue it with resume=True or"):
        train(path, TINY, device="cpu", on_epoch=never)
    other = dataclasses.replace(TINY, exponent=1.0)
    with pytest.raises(InputError, match="of a training with another recipe"):
        train(path, other, device="cpu", resume=True, on_epoch=never)
    assert sha256_of(path, other, overwrite=True) == sha256_of(tmp_path / "b.safetensors", other)


def test_a_small_network_learns_to_map_mass(tmp_path: Path) -> None:
    loop = TrainingConfig(epochs=8, batch=8, learning_rate=3e-3, validate_every=5, micro_batch=8, schedule="cosine")
    recipe = dataclasses.replace(
        TINY,
        network=MIU2NetConfig(
            heights=(3, 3),
            middle=(4, 4),
            channels=(8, 8),
            middle_up=(4,),
            channels_up=(8,),
            inputs="shear+ks",
            input_scale=0.03,
            output_scale=0.02,
        ),
        loss="miu2net",
        ring_weight=0.0,
        training=loop,
        fields=64,
        validation=16,
    )
    path = tmp_path / "a.safetensors"
    history = train(path, recipe, device="cpu").history
    assert min(history.validation) < 0.8 * history.validation[0]
    ids = np.arange(8)
    sky = simulate_sky(ids, recipe.sky, 77)
    network = build_network(load_card(path))
    network.load_state_dict(load_weights(path))
    found = network_maps(network, observe(ids, sky.g1, sky.g2, recipe.survey, recipe.sky.pixel_scale, 77))
    assert np.corrcoef(found.ravel(), sky.kappa.ravel())[0, 1] > 0.4


def test_starting_as_a_wiener_filter_begins_lower(tmp_path: Path) -> None:
    losses = {}
    for start in ("random", "wiener"):
        still = dataclasses.replace(TINY.training, epochs=1, learning_rate=1e-12, minimum_rate=0.0)
        network = dataclasses.replace(TINY.network, inputs="weighted+weight", output_scale=0.02)
        recipe = dataclasses.replace(TINY, network=network, training=still, start=start, exponent=0.0)
        losses[start] = train(tmp_path / f"{start}.safetensors", recipe, device="cpu").history.validation[0]
    assert losses["wiener"] < 0.9 * losses["random"]


def test_training_goes_on_from_weights(tmp_path: Path) -> None:
    first = tmp_path / "first.safetensors"
    train(first, TINY, device="cpu")
    # A rate that changes nothing that single precision can tell.
    frozen = dataclasses.replace(TINY.training, learning_rate=1e-12, minimum_rate=0.0, weight_decay=0.0)
    still = dataclasses.replace(TINY, seed=6, training=frozen)
    train(tmp_path / "second.safetensors", still, start=first, device="cpu")
    card = load_card(tmp_path / "second.safetensors")
    assert card["started_from"] == load_card(first)
    assert load_card(first)["started_from"] is None
    before, after = (load_weights(tmp_path / f"{name}.safetensors") for name in ("first", "second"))
    for name, weights in before.items():
        torch.testing.assert_close(after[name], weights, rtol=1e-5, atol=1e-8)
    with pytest.raises(InputError, match="weights of a different network; expected the network of the recipe"):
        train(tmp_path / "third.safetensors", TINY_MIU2NET, start=first, device="cpu", on_epoch=never)


def write_maps(path: Path, ids: np.ndarray, recipe: Recipe) -> Path:
    sky = simulate_sky(ids, recipe.sky, 0)
    maps = observe(ids, sky.g1, sky.g2, recipe.survey, recipe.sky.pixel_scale, 0)
    scale = recipe.sky.pixel_scale
    dataset = shear_dataset(ShearMaps(*maps), count=np.ones_like(sky.kappa), pixel_scale=scale, source="zs1.0", seed=0)
    dataset = dataset.assign_coords(field=ids)
    write(dataset.assign(kappa=(("field", "y", "x"), sky.kappa)), path)
    return path


def test_training_from_a_store(tmp_path: Path) -> None:
    maps = write_maps(tmp_path / "maps.zarr", np.arange(100, 117), TINY)
    path = tmp_path / "a.safetensors"
    first = sha256_of(path, TINY, maps=maps)
    data = load_card(path)["data"]
    # Chunks of four: 100-103 … 112-115, 116. The last two hold four at least.
    assert data["ids"] == {"training": [100, 111], "validation": [112, 116]}
    assert (data["store"], data["source"], data["seed"]) == ("maps.zarr", "zs1.0", 0)
    assert sha256_of(tmp_path / "b.safetensors", TINY, maps=maps) == first
    assert sha256_of(tmp_path / "c.safetensors", TINY) != first
    coarse = dataclasses.replace(TINY, sky=dataclasses.replace(TINY.sky, pixel_scale=0.82))
    with pytest.raises(InputError, match=r"maps.zarr: pixels of 1.64 arcmin; expected the 0.82 of the recipe"):
        train(tmp_path / "d.safetensors", coarse, maps=maps, device="cpu", on_epoch=never)


@pytest.mark.filterwarnings("ignore::lensdask.massmap.ConditionsWarning")
def test_what_a_network_learned_from_first_is_remembered(tmp_path: Path) -> None:
    # Its errors on these fields would be those of fields that it has met.
    maps = write_maps(tmp_path / "maps.zarr", np.arange(17), TINY)
    train(tmp_path / "first.safetensors", TINY, maps=maps, device="cpu")
    train(tmp_path / "second.safetensors", TINY, start=tmp_path / "first.safetensors", device="cpu")
    mass = reconstruct(lensdask.open(maps), tmp_path / "second.safetensors", device="cpu")
    assert mass.attrs["trained_on"] == [lensdask.open(maps).attrs["configuration_hash"]]
    write(mass, tmp_path / "mass.zarr")
    with pytest.raises(InputError, match="trained on fields of this truth"):
        evaluate(tmp_path / "out", [tmp_path / "mass.zarr"], truth=maps)


def test_numbers_added_to_the_card_of_the_first_weights_leave_a_training_as_it_is(tmp_path: Path) -> None:
    first, path = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    train(first, TINY, device="cpu")
    with pytest.raises(CutOffError):
        train(path, TINY, start=first, device="cpu", on_epoch=cut_off)
    card = load_card(first) | {"measured": {"rmse": 0.01}}
    first.with_suffix(".json").write_text(json.dumps(card))
    assert sha256_of(path, TINY, start=first, resume=True) == sha256_of(tmp_path / "b.safetensors", TINY, start=first)


def test_an_output_that_cannot_be_is_refused_before_training(tmp_path: Path) -> None:
    present = tmp_path / "present.safetensors"
    present.write_bytes(b"precious")
    for path, message in ((present, "present.safetensors exists"), (tmp_path / "a.pt", r"suffix '\.pt'; expected")):
        with pytest.raises(InputError, match=message):
            train(path, TINY, device="cpu", on_epoch=never)
    wiener = dataclasses.replace(TINY, network=H21_SMALL, start="wiener")
    with pytest.raises(InputError, match="start: 'wiener'; expected a network of architecture cha"):
        train(tmp_path / "a.safetensors", wiener, device="cpu", on_epoch=never)
    assert present.read_bytes() == b"precious"


# Recipes


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_of_the_package_can_be_read(name) -> None:
    recipe = read_recipe(name)
    assert recipe.sky.generator == "lognormal"


def test_no_name_is_the_recipe_of_the_shipped_network() -> None:
    assert read_recipe() == read_recipe("massmap-cha")


def test_recipes_of_the_papers() -> None:
    found = {name: read_recipe(name) for name in RECIPES}
    cha, miu2net = found["massmap-cha-paper"], found["massmap-miu2net-paper"]
    assert (cha.network, cha.sky.size, cha.exponent, cha.training.learning_rate) == (CHA_PAPER, 512, 6.0, 1e-5)
    assert (miu2net.network, miu2net.sky.size, miu2net.loss, miu2net.training.batch) == (
        MIU2NET_PAPER,
        256,
        "miu2net",
        128,
    )
    assert sum(p.numel() for p in make_network(cha.network).parameters()) == 5_606_617
    assert sum(p.numel() for p in make_network(miu2net.network).parameters()) == 43_994_893


BAD_RECIPES = [
    ("loss = 'mse'", "loss: 'mse'; expected cha or miu2net"),
    ("start = 'cold'", "start: 'cold'; expected random or wiener"),
    ("fields = 0", "fields: 0; expected a whole number from 1 to 1e"),
    ("seed = -1", "seed: -1; expected a whole number"),
    ("exponent = -1.0", "exponent: -1.0; expected a number from 0 to 100"),
    ("[network]\narchitecture = 'unet'", r"\[network\]: architecture 'unet'; expected cha, h21, miu2net$"),
    ("[network]\nbase = 'huge'", r"\[network\]: base 'huge'; expected small, paper$"),
    ("[network]\nheights = [3]", r"\[network\]: unknown setting 'heights'"),
    ("[sky]\nsize = 127", r"recipe.toml: \[sky\]: size: 127 pixels; expected an even number"),
    ("[sky]\nsize = 'big'", r"\[sky\]: size is 'big'; expected something like 128"),
    ("[survey]\nsigma = 0.3", r"\[survey\]: unknown setting 'sigma'"),
    ("network = 3", r"\[network\]: 3; expected a table"),
]


@pytest.mark.parametrize(("text", "message"), BAD_RECIPES)
def test_mistakes_in_a_recipe_are_told(tmp_path: Path, text, message) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_recipe(path)


def test_settings_that_are_empty_by_default_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("[sky]\nshift = 0.02\n[survey]\nfootprint = 'mask.fits'\n")
    recipe = read_recipe(path)
    assert (recipe.sky.shift, recipe.survey.footprint) == (0.02, "mask.fits")
    path.write_text("[sky]\nshift = {}\n")
    with pytest.raises(InputError, match=r"shift is \{\}; expected something like None"):
        read_recipe(path)


# Shipped weights


def plain_settings(recipe: Recipe) -> dict[str, object]:
    """Return a recipe as cards have it."""
    settings = dataclasses.asdict(recipe)
    del settings["network"]
    return json.loads(json.dumps(settings))


@pytest.mark.parametrize("name", ["cha", "h21", "miu2net", "cosmos"])
def test_shipped_weights_are_those_of_their_recipe(name) -> None:
    path = Path(train_module.__file__).parents[1] / "weights" / f"{name}.safetensors"
    card = load_card(path)
    network = build_network(card)
    network.load_state_dict(load_weights(path))
    recipe = read_recipe(f"massmap-{name}")
    assert network.config == recipe.network
    # They were trained when the survey of a recipe was called its noise.
    settings = plain_settings(recipe)
    assert card["recipe"] == {"noise": settings.pop("survey")} | settings
    assert len(card["loss"]["validation"]) == card["epochs_done"] == recipe.training.epochs
    # The footprint of cosmos is no part of the package; `docs/cosmos.py` writes it.
    here = dataclasses.replace(recipe, survey=dataclasses.replace(recipe.survey, footprint=None))
    said = train_module._data(here, (None, None), None)
    assert card["data"] == said | {"footprint_sha256": card["data"]["footprint_sha256"]}
    assert (card["data"]["footprint_sha256"] is None) == (recipe.survey.footprint is None)
    assert card["note"] == note_of(recipe.network)


@pytest.mark.parametrize("name", ["cha", "h21", "miu2net"])
def test_shipped_networks_map_mass(name) -> None:
    path = Path(train_module.__file__).parents[1] / "weights" / f"{name}.safetensors"
    network = build_network(load_card(path))
    network.load_state_dict(load_weights(path))
    ids, sky_config, noise = np.arange(2), SkyConfig(size=128, pixel_scale=0.82), Survey()
    sky = simulate_sky(ids, sky_config, 7)
    found = network_maps(network, observe(ids, sky.g1, sky.g2, noise, sky_config.pixel_scale, 7))
    # The Wiener filter correlates by 0.69; tests/science has the errors of all methods.
    assert np.corrcoef(found.ravel(), sky.kappa.ravel())[0, 1] > 0.65


@pytest.mark.parametrize("name", ["cha", "h21", "miu2net"])
def test_shipped_networks_map_fields_larger_than_those_of_their_training(name) -> None:
    network = build_network(load_card(SHIPPED_WEIGHTS[name]))
    load_into(network, SHIPPED_WEIGHTS[name])
    ids, sky_config, noise = np.arange(4), SkyConfig(size=256, pixel_scale=0.82), Survey()
    sky = simulate_sky(ids, sky_config, 77)
    found = network_maps(network, observe(ids, sky.g1, sky.g2, noise, sky_config.pixel_scale, 77))
    # Networks that lean on the edges of their fields see masses as wide as a quarter of them where there are none.
    blocks = (found - sky.kappa).reshape(4, 4, 64, 4, 64).mean(axis=(2, 4))
    assert np.abs(blocks).max() < 0.01


def test_a_recipe_of_an_older_lensdask_is_read_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("[noise]\ndensity = 20.0\n")
    with pytest.warns(DeprecationWarning, match=r"recipe\.toml: \[noise\] is now \[survey\]"):
        assert read_recipe(path).survey.density == 20.0
