"""Recipes by name and path, the same for every pillar."""

import dataclasses
import json
from pathlib import Path

import pytest

import lensdask
from lensdask import lss, massmap, shear
from lensdask.data import load_card
from lensdask.errors import InputError
from lensdask.shear.shapes.d4cnn import build_d4cnn
from lensdask.shear.shapes.estimator import SHIPPED_WEIGHTS
from lensdask.stronglens.nets import recipe as stronglens
from lensdask.training import recipe_names

FOLDER = Path(lensdask.__file__).parent / "recipes"
PILLARS = {
    "shear": (shear, ("d4cnn", "cnn")),
    "massmap": (massmap, ("massmap-",)),
    "lss": (lss, ("lss-",)),
    "stronglens": (stronglens, ("lens-",)),
}
NAMES = {name: recipe_names(prefixes) for name, (_, prefixes) in PILLARS.items()}


def test_every_recipe_is_of_one_pillar() -> None:
    names = [name for known in NAMES.values() for name in known]
    assert sorted(names) == sorted(path.stem for path in FOLDER.iterdir())
    assert all(path.suffix == ".toml" for path in FOLDER.iterdir())


@pytest.mark.parametrize(("pillar", "name"), [(pillar, name) for pillar in NAMES for name in NAMES[pillar]])
def test_a_name_and_its_path_are_the_same_recipe(pillar, name) -> None:
    read_recipe = PILLARS[pillar][0].read_recipe
    assert read_recipe(name) == read_recipe(FOLDER / f"{name}.toml") == read_recipe(str(FOLDER / f"{name}.toml"))


@pytest.mark.parametrize("pillar", PILLARS)
def test_an_unknown_name_lists_the_known_ones(pillar) -> None:
    message = f"^recipe 'cha2' is unknown; expected {', '.join(NAMES[pillar])} or a .toml file$"
    with pytest.raises(InputError, match=message):
        PILLARS[pillar][0].read_recipe("cha2")


def test_a_recipe_of_another_pillar_is_unknown() -> None:
    with pytest.raises(InputError, match="recipe 'massmap-cha' is unknown; expected cnn, d4cnn-1"):
        shear.read_recipe("massmap-cha")
    with pytest.raises(InputError, match="recipe 'd4cnn-paper' is unknown; expected massmap-cha, "):
        massmap.read_recipe("d4cnn-paper")


@pytest.mark.parametrize("pillar", PILLARS)
def test_files_of_the_user(pillar, tmp_path, monkeypatch) -> None:
    read_recipe = PILLARS[pillar][0].read_recipe
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text("seed = 5\n[training]\nepochs = 3\n")
    Path("mine").write_text("seed = 6\n")
    assert (read_recipe("mine.toml").seed, read_recipe("mine.toml").training.epochs) == (5, 3)
    assert read_recipe("mine").seed == 6
    with pytest.raises(InputError, match=r"^absent\.toml cannot be read .*; expected a TOML file$"):
        read_recipe("absent.toml")
    Path("mine.toml").write_text("[network]\narchitecture = 'none'\n")
    with pytest.raises(InputError, match=r"^mine\.toml: \[network\]: architecture 'none'; expected "):
        read_recipe("mine.toml")


@pytest.mark.parametrize("name", SHIPPED_WEIGHTS)
def test_shipped_networks_of_shapes_are_those_of_their_recipe(name) -> None:
    recipe = shear.read_recipe(
        {"d4cnn": "d4cnn-3", "d4cnn-wide": "d4cnn-wide-3", "d4cnn-paper": "d4cnn-paper-coarse"}.get(name, name)
    )
    card = load_card(SHIPPED_WEIGHTS[name])
    assert build_d4cnn(card).config == recipe.network
    known = json.loads(json.dumps(dataclasses.asdict(recipe)))
    # Settings that are younger than the weights are not on their card.
    for table in ("training", "score"):
        assert card["recipe"].pop(table, {}).items() <= known.pop(table).items()
    assert {name: known[name] for name in card["recipe"]} == card["recipe"]
